package bench

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// rpcError is JSON-RPC's error object.
type rpcError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *rpcError) Error() string {
	return "JSON-RPC error " + strconv.Itoa(e.Code) + ": " + e.Message
}

// answer is one call's reply.
type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

// query is one call.
type query struct {
	method string
	params []any
}

func (q query) append(b []byte, id int) ([]byte, error) {
	params := q.params
	if params == nil {
		params = []any{}
	}
	p, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, int64(id), 10)
	b = append(b, `,"method":"`...)
	b = append(b, q.method...)
	b = append(b, `","params":`...)
	b = append(b, p...)
	return append(b, '}'), nil
}

// appendSend renders eth_sendRawTransaction for one transaction, or a batch of them with the ids 1
// and up.
func appendSend(b []byte, raws [][]byte) []byte {
	if len(raws) > 1 {
		b = append(b, '[')
	}
	for i, raw := range raws {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"jsonrpc":"2.0","id":`...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, `,"method":"eth_sendRawTransaction","params":["0x`...)
		b = hex.AppendEncode(b, raw)
		b = append(b, `"]}`...)
	}
	if len(raws) > 1 {
		b = append(b, ']')
	}
	return b
}

// appendCall renders coco_sendCall for one call in JSON.
func appendCall(b, call []byte) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":1,"method":"coco_sendCall","params":[`...)
	return append(append(b, call...), `]}`...)
}

var (
	resultMark = []byte(`"result":"0x`)
	errorMark  = []byte(`"error"`)
)

// allSent recognises the reply to appendSend in which every transaction has a result. It may miss
// one that is written unusually; then parseAnswers decides.
func allSent(reply []byte, n int) bool {
	return bytes.Count(reply, resultMark) == n && !bytes.Contains(reply, errorMark)
}

// parseAnswers puts the replies of n calls, with the ids 1 and up, in order. A server that refuses
// a batch as a whole answers by one error object, which then stands for every call.
func parseAnswers(reply []byte, n int) ([]answer, error) {
	fault := func(why string) ([]answer, error) {
		return nil, fmt.Errorf("%w: JSON-RPC reply %q: %s", coco.ErrCorrupt, cut(reply), why)
	}
	answers := make([]answer, n)
	if trimmed := bytes.TrimLeft(reply, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		var one answer
		if err := json.Unmarshal(reply, &one); err != nil {
			return fault(err.Error())
		}
		if n > 1 && one.Error == nil {
			return fault("expected an array")
		}
		for i := range answers {
			answers[i] = one
		}
		return answers, nil
	}
	var list []answer
	if err := json.Unmarshal(reply, &list); err != nil {
		return fault(err.Error())
	}
	if len(list) != n {
		return fault(fmt.Sprintf("expected %d answers, found %d", n, len(list)))
	}
	for _, a := range list {
		if a.ID < 1 || a.ID > n || answers[a.ID-1].ID != 0 {
			return fault(fmt.Sprintf("answer with id %d: expected 1 to %d, each once", a.ID, n))
		}
		answers[a.ID-1] = a
	}
	return answers, nil
}

// maxQueries is how many calls ask puts in one request.
const maxQueries = 100

// ask makes calls, in as many batches as they need, and gives each answer to fn.
func (s *session) ask(queries []query, fn func(i int, a answer) error) error {
	for base := 0; base < len(queries); base += maxQueries {
		part := queries[base:min(base+maxQueries, len(queries))]
		body := []byte{'['}
		for i, q := range part {
			if i > 0 {
				body = append(body, ',')
			}
			var err error
			if body, err = q.append(body, i+1); err != nil {
				return err
			}
		}
		body = append(body, ']')
		p := s.patience()
		reply, err := s.send(&p, func(l link.Link) ([]byte, error) { return l.Call(body) })
		if err != nil {
			return fmt.Errorf("%s: %w", part[0].method, err)
		}
		answers, err := parseAnswers(reply, len(part))
		if err != nil {
			return err
		}
		for i, a := range answers {
			if err := fn(base+i, a); err != nil {
				return fmt.Errorf("%s: %w", part[i].method, err)
			}
		}
	}
	return nil
}

// askOne makes one call and decodes its result.
func (s *session) askOne(result any, method string, params ...any) error {
	return s.ask([]query{{method, params}}, func(_ int, a answer) error { return a.decode(result) })
}

func (a *answer) decode(result any) error {
	if a.Error != nil {
		return a.Error
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("%w: result %q: %w", coco.ErrCorrupt, cut(a.Result), err)
	}
	return nil
}
