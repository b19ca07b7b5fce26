package arch

import "slices"

const module = "github.com/cocoframework/coco"

// A rule says what some packages must not contain. Packages are named relative to the module; a
// trailing "/..." takes in everything below. A row may name a package that does not exist yet: it
// waits for it.
type rule struct {
	name   string
	in     []string // the packages that the rule is about
	except []string // and those of them that it is not
	// only, if set, lists the packages of this module that may be linked; none lists those that
	// must not be. Both are transitive: they hold for everything that a package links.
	only []string
	none []string
	// pure forbids files, network, logs, the machine's clock and goroutines: what the package
	// returns depends on its input and on nothing else.
	pure bool
	// std lists packages of the standard library that must not be imported.
	std []string
	// third, if set, is asked about imports from outside the module and the standard library.
	third func(path string) bool
	// calls are functions of the standard library, as "package.Func", that must not be named.
	calls []string
	goes  bool     // no `go` statement
	words []string // must not appear in identifiers and string literals
	why   string
}

func (r rule) forbids(call string) bool {
	return slices.Contains(r.calls, call) || r.pure && slices.Contains(clocks, call)
}

// outside is how a program reaches past package host.
var outside = []string{"os", "os/exec", "os/signal", "os/user", "io/ioutil", "syscall", "plugin", "net/rpc", "net/smtp", "runtime/cgo"}

// impure are the packages of the standard library that a pure package does without.
var impure = append([]string{"net", "net/http", "log", "log/slog"}, outside...)

// clocks are the ways to the machine's own time.
var clocks = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick",
	"time.NewTimer", "time.NewTicker",
}

var dials = []string{
	"net.Dial", "net.DialTimeout", "net.DialTCP", "net.DialUDP", "net.DialUnix", "net.Listen", "net.ListenTCP",
	"net.ListenPacket", "net.ListenUDP", "net.LookupHost", "net.LookupIP", "net.LookupAddr", "tls.Dial", "tls.Listen",
	"http.Get", "http.Post", "http.PostForm", "http.Head", "http.ListenAndServe", "http.ListenAndServeTLS",
	"http.DefaultClient", "http.DefaultTransport", "http.DefaultServeMux", "http.Handle", "http.HandleFunc",
}

func never(string) bool { return false }

func oneOf(paths ...string) func(string) bool {
	return func(path string) bool { return slices.Contains(paths, path) }
}
