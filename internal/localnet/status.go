package localnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
)

// Status is the supervisor's word on its processes.
type Status struct {
	Pid      int         `json:"pid"`
	Starting bool        `json:"starting"` // the network is being brought up
	Nodes    []NodeState `json:"nodes"`
}

// NodeState is one node's process, as the supervisor sees it.
type NodeState struct {
	Name     string `json:"name"`
	Pid      int    `json:"pid,omitempty"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
}

// Ask makes a request of the running supervisor.
func Ask(ctx context.Context, info Info, method, path string, answer any) error {
	if info.Control == "" {
		return fmt.Errorf("%w: no sandbox is running in %s: start it with `coco up%s`", coco.ErrUnreachable, info.Dir, DirHint(info.Dir))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, info.Control+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: control endpoint: %w", coco.ErrInvalid, err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w: the sandbox in %s does not answer: if its process has ended, `coco up%s` goes on with it: %w", coco.ErrUnreachable, info.Dir, DirHint(info.Dir), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrUnreachable, info.Dir, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%w: the sandbox in %s: %s", coco.ErrDenied, info.Dir, bytes.TrimSpace(body))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrCorrupt, info.Dir, err)
	}
	return nil
}

// GetStatus asks the supervisor of a running sandbox.
func GetStatus(ctx context.Context, info Info) (Status, error) {
	var st Status
	return st, Ask(ctx, info, http.MethodGet, "/status", &st)
}

// Running loads the sandbox in a folder and makes sure that its supervisor answers.
func Running(ctx context.Context, dir string) (Info, Status, error) {
	info, err := Load(dir)
	if err != nil {
		return info, Status{}, err
	}
	st, err := GetStatus(ctx, info)
	return info, st, err
}

// Absent reports whether an error only says that no sandbox runs in a folder.
func Absent(err error) bool {
	return errors.Is(err, coco.ErrNotFound) || errors.Is(err, coco.ErrUnreachable)
}
