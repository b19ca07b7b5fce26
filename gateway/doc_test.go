package gateway

import (
	"os"
	"strings"
	"testing"
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
