package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// post sends JSON, and returns the answer's body whatever its status is.
func post(ctx context.Context, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// ask makes one JSON-RPC call and reads its result, unless result is nil.
func ask(ctx context.Context, url string, result any, method string, params ...any) error {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	answer, err := post(ctx, url, body)
	if err != nil {
		return err
	}
	var reply struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.Unmarshal(answer, &reply); err != nil || reply.Error != nil {
		return errors.Join(errors.New(string(answer)), err)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Result, result)
}
