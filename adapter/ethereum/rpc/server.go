// Package rpc answers web3 JSON-RPC over HTTP and WebSocket, from views of the chain.
//
// There are two ways through it. The full server is go-ethereum's, for its breadth; it finds
// methods and decodes arguments by reflection, which costs more than the hottest calls themselves.
// The direct way (direct.go) recognises those calls in their plain form, and leaves everything
// else, right or wrong, to the full server: whichever way is taken, the reply is the same.
//
//	HTTP, WebSocket ──> exchange ──┬── direct ──────────────┬──> sight.View
//	                               └── go-ethereum's server ┘
//
// Trust: enclave
package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/crash"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/fill"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/filter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/guard"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/scan"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/reading"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/internal/contain"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// Server answers the requests of one ledger.
//
// Fields: it has the chain, what callers see of it, and what all connections share.
type Server struct {
	ledger *chain.Ledger
	sights *sight.Sights
	env    *adapter.Env
	submit func(ctx context.Context, caller coco.Caller, again bool, raw ...[]byte) []chain.SendResult // Ledger.Send
	// authorize is asked beside what sights show.
	authorize func(coco.Caller, adapter.Read) error
	served    atomic.Pointer[fullServer] // see full
	calls     *guard.Guard
	panics    *contain.Panics
	polls     *filter.Table
	room      *filter.Room // of filters and subscriptions
	unsigned  *fill.Calls
	chain     []byte // the reply to eth_chainId

	mu     sync.Mutex
	closed bool           // no more connections; guarded by mu
	conns  sync.WaitGroup // WebSocket connections; added to under mu
	stop   context.Context
	cancel context.CancelFunc
}

// New returns the JSON-RPC server of l. Nothing runs until a request comes.
func New(l *chain.Ledger, sights *sight.Sights, env *adapter.Env) *Server {
	s := &Server{
		ledger: l, sights: sights,
		env:    env,
		submit: l.Send, authorize: func(coco.Caller, adapter.Read) error { return nil },
		calls: guard.New(env.Clock, func() time.Duration { return l.Settings().RPC.CallTimeout() }, 2*runtime.GOMAXPROCS(0)),
		room:  filter.NewRoom(filter.MaxRoom),
		chain: encode.AppendBig(nil, l.ChainID()),
	}
	s.polls = filter.NewTable(env.Clock, func() int { return l.Settings().RPC.MaxFilters }, s.room)
	if s.panics = env.Panics; s.panics == nil {
		s.panics = contain.New(env.Log)
	}
	s.unsigned = fill.NewCalls(s.group(), env)
	s.stop, s.cancel = context.WithCancel(context.Background())
	return s
}

// limits are those in force: members may change them.
func (s *Server) limits() *settings.RPC { return &s.ledger.Settings().RPC }

// fullServer is go-ethereum's server, and the limits that it was made with.
type fullServer struct {
	*rpc.Server
	limits settings.RPC
}

// full returns go-ethereum's server by the limits in force. A server's limits must not change while it serves, so other
// limits get another server; one that serves yet is left to its requests.
func (s *Server) full() *fullServer {
	limits := s.limits()
	if f := s.served.Load(); f != nil && f.limits == *limits {
		return f
	}
	f := &fullServer{rpc.NewServer(), *limits}
	f.SetBatchLimits(limits.BatchItems, limits.ReplyBytes)
	f.SetHTTPBodyLimit(limits.BodyBytes + 2) // room for the brackets around one call
	for name, groups := range s.groups() {
		for _, methods := range groups {
			if err := f.RegisterName(name, methods); err != nil {
				panic(err) // only a receiver without methods is refused
			}
		}
	}
	s.served.Store(f)
	return f
}

// guarded runs a call within its time, once there is a slot for it.
func (s *Server) guarded(ctx context.Context, who coco.Caller, fn func(context.Context) error) error {
	err := s.calls.Do(ctx, who, fn)
	if late := (*guard.TimeoutError)(nil); errors.As(err, &late) {
		return group.Errorf(codeServer, "%v", late)
	}
	return err
}

// Endpoints are what the ledger serves.
func (s *Server) Endpoints() []adapter.Endpoint {
	return []adapter.Endpoint{
		{Pattern: "POST /rpc", Handler: s.serve, Query: adapter.AnyQuery, Repeatable: repeatable},
		{Pattern: "GET /rpc", Handler: s.serve, Query: adapter.AnyQuery}, // and HEAD
	}
}

// Close ends all connections and waits for them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.conns.Wait()
	s.full().Stop()
	s.calls.Close()
	return nil
}

// exchange is one HTTP request, or one message of a WebSocket connection, on its way to a reply.
// It belongs to one goroutine at a time.
type exchange struct {
	ctx    context.Context
	caller coco.Caller
	grant  *sessions.Grant // nil unless the caller came by a session
	remote string
	conn   *wsConn // nil over HTTP, where there are no subscriptions

	committed coco.TxID // the newest transaction that the exchange committed or has the receipt of
	busy      bool      // a call was refused because a queue was full
	started   []func()  // what begins once the reply is on its way

	fresh freshness
	past  *adapter.PastReader // of all calls together; made when the first is about to read

	claim *budget.Claim  // what the reply takes in memory
	size  int            // of the results so far, which rpc.reply_bytes bounds
	large *budget.Buffer // the result that token stands for; see buffers.settle
}

type exchangeKey struct{}

// exchangeOf returns the exchange that a method of the full server serves.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// view returns the newest state for a call of an exchange, if its caller may see what the call reads.
func (s *Server) view(x *exchange, read adapter.Read) (*sight.View, error) {
	if err := s.may(x, read); err != nil {
		return nil, err
	}
	return s.sights.View(s.pastReader(x), &x.caller), nil
}

func (s *Server) pastReader(x *exchange) *adapter.PastReader {
	if x.past == nil {
		x.past = s.ledger.PastReader().For(x.caller)
	}
	return x.past
}

// serve is the adapter.Handler of the endpoint.
func (s *Server) serve(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		s.servePost(caller, w, r)
	case r.Method == http.MethodGet && isUpgrade(r):
		s.serveWebSocket(caller, w, r)
	default:
		w.WriteHeader(http.StatusOK) // a health check, as go-ethereum answers it
	}
}

func isUpgrade(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return r.Header.Get("Upgrade") != ""
}

func (s *Server) servePost(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	if !isJSON(r.Header.Get("Content-Type")) {
		problem.Write(w, wire.ByCode(wire.CodeMediaType), fmt.Sprintf("expected Content-Type: application/json, found %q", r.Header.Get("Content-Type")))
		return
	}
	if r.ContentLength > int64(s.limits().BodyBytes) {
		s.bodyTooLarge(w)
		return
	}
	b := bodies.Get().(*buffers)
	defer b.release()
	var err error
	if b.in, err = readBody(b.in[:0], r.Body, s.limits().BodyBytes, nil); err != nil {
		if big := (*http.MaxBytesError)(nil); errors.As(err, &big) { // the gateway's limit
			s.bodyTooLarge(w)
			return
		}
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	if len(b.in) > s.limits().BodyBytes {
		s.bodyTooLarge(w)
		return
	}
	asked, err := readingOf(r)
	if err != nil {
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	x := &exchange{ctx: r.Context(), caller: caller, grant: sessions.Of(r.Context()), remote: r.RemoteAddr, claim: adapter.ClaimOf(w), fresh: freshness{asked: asked}}
	single := s.reply(x, b)

	h := w.Header()
	if x.fresh.known {
		reading.SetHeaders(x.fresh.age, h)
	}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(b.size())}
	if x.committed.Seqno != 0 {
		h[transactionHeader] = []string{x.committed.String()}
	}
	if x.busy && single {
		h["Retry-After"] = []string{"1"}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = b.writeTo(w) // fails only if the caller has gone
}

func (s *Server) bodyTooLarge(w http.ResponseWriter) {
	problem.Write(w, wire.ByCode(wire.CodeTooLarge), fmt.Sprintf("the body is larger than the %d bytes that rpc.body_bytes of the adapter's settings or limits.body_bytes of the constitution allow", s.limits().BodyBytes))
}

var jsonType = []string{"application/json"}

// transactionHeader names the newest transaction that a reply says is committed.
const transactionHeader = wire.HeaderTxID

// isJSON accepts what go-ethereum accepts.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mt, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mt == "application/json" || mt == "application/json-rpc" || mt == "application/jsonrequest")
}

// readBody appends at most limit+1 bytes of r to b. It claims what it reads by take, unless that is nil: over HTTP the
// core counts bodies itself.
func readBody(b []byte, r io.Reader, limit int, take func(int) error) ([]byte, error) {
	for len(b) <= limit {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(512, len(b)))...)[:len(b)]
		}
		n, err := r.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		if take != nil {
			if err := take(n); err != nil {
				return b, err
			}
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// reply answers the request in b.in and leaves the reply, empty for notifications, in b.out. It
// reports whether the request was a single one.
func (s *Server) reply(x *exchange, b *buffers) (single bool) {
	b.out, b.reqs = b.out[:0], b.reqs[:0]
	if x.grant != nil {
		b.in = x.grant.Filter(b.in, s.limits().BatchItems) // both ways get what is left
	}
	defer b.settle(x, 0)
	i := scan.SkipSpace(b.in, 0)
	if i < len(b.in) && b.in[i] == '[' {
		s.replyBatch(x, b)
		return false
	}
	if req, end, ok := scan.Parse(b.in, i); ok && scan.SkipSpace(b.in, end) == len(b.in) {
		if out, done := s.direct(x, req, b.out); done {
			b.out = out
			return true
		}
	}
	b.out = s.replyFull(x, b.in, b.out)
	return true
}

// replyFull lets the full server answer a body, appending to out.
func (s *Server) replyFull(x *exchange, body, out []byte) []byte {
	if x.conn != nil {
		if out, done := s.subscriptionCall(x, body, out); done {
			return out
		}
	}
	r := (&http.Request{
		Method:        http.MethodPost,
		URL:           &url.URL{Path: "/rpc"},
		Header:        http.Header{"Content-Type": jsonType},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		RemoteAddr:    x.remote,
	}).WithContext(context.WithValue(x.ctx, exchangeKey{}, x))
	reply, crashed, stack := crash.Serve(s.full(), r, out)
	if crashed {
		req, _, _ := scan.Parse(body, scan.SkipSpace(body, 0))
		s.panics.Noted("JSON-RPC "+string(req.Method), stack)
	}
	return reply
}
