package gateway

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/budget"
)

// docs/http.md describes every route of the core, and says right who may call it.
func TestTheDocumentListsTheRoutes(t *testing.T) {
	page, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // what follows a route in its row, by method and path
	for row := range strings.Lines(string(page)) {
		columns := strings.SplitN(row, "|", 3)
		if len(columns) < 3 {
			continue
		}
		route := strings.Trim(strings.TrimSpace(columns[1]), "`")
		route, _, _ = strings.Cut(route, "?")
		rows[strings.ReplaceAll(route, "{view.seqno}", "{txid}")] = columns[2]
	}
	a := startAdmin(t)
	routes := 0
	for _, w := range []*world{a.app, a.world} {
		for _, f := range w.g.facts() {
			if f.pattern == "/gov/" {
				continue // of the administrative listener
			}
			routes++
			row, ok := rows[f.pattern]
			if !ok {
				t.Errorf("docs/http.md has no row for %s", f.pattern)
			}
			open := strings.HasPrefix(row, " – |")
			if !strings.Contains(f.pattern, " /gov/") && w == a.app && open != (f.handler == nil) {
				t.Errorf("docs/http.md says %q of %s; it needs a caller: %v", row, f.pattern, f.handler != nil)
			}
		}
	}
	if routes < 30 {
		t.Errorf("the test looked at %d routes", routes)
	}
}

func TestTheDocumentListsTheLimits(t *testing.T) {
	page, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	var l Limits
	if err := l.fill(); err != nil {
		t.Fatal(err)
	}
	mib := func(n int) string { return fmt.Sprintf("%d MiB", n>>20) }
	for _, want := range []string{
		fmt.Sprintf("| open connections | %d |", l.MaxConns),
		fmt.Sprintf("| requests of callers at a time | %d;", l.MaxRequests),
		fmt.Sprintf("| bytes of bodies of requests being served | %s,", mib(l.MaxBodies)),
		fmt.Sprintf("| bytes of replies that are being built or not taken yet, beyond %d KiB each | %s,", budget.Free>>10, mib(l.MaxReplies)),
		fmt.Sprintf("| lists and receipts of a node's own that are built at a time | %d |", l.MaxBuilds),
		fmt.Sprintf("| one reply of a node's own | %s |", mib(maxOwn)),
		fmt.Sprintf("| requests without caller at a time | %d, of which %d make evidence |", l.MaxAnonymous, l.MaxEvidence),
		fmt.Sprintf("| upgraded (WebSocket) connections | %d,", l.MaxStreams),
		fmt.Sprintf("| headers | %d KiB |", l.MaxHeaderBytes>>10),
		fmt.Sprintf("| TLS handshake, and a header once it began | %.0f s each |", l.HeaderTimeout.Seconds()),
		fmt.Sprintf("| body | %.0f s |", l.BodyTimeout.Seconds()),
		fmt.Sprintf("| taking an answer | %.0f s for each write |", l.WriteTimeout.Seconds()),
		fmt.Sprintf("| between requests | %.0f min |", l.IdleTimeout.Minutes()),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/http.md does not say %q", want)
		}
	}
}
