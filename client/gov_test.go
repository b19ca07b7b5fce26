package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
)

// governed answers as an administrative listener does, and notes what it was asked.
func governed(asked *[]string) http.HandlerFunc {
	digest := strings.Repeat("09", 32)
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, fmt.Sprintf("%s %s %s %q", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body))
		switch r.URL.Path {
		case "/gov/submit":
			fmt.Fprintf(w, `{"id":%q,"state":"accepted","version":2,"digest":%q,"effects":[{"kind":"code_added","text":"code is added"}]}`, digest, digest)
		case "/gov/simulate":
			fmt.Fprint(w, `{"possible":true}`)
		case "/gov/proposals":
			fmt.Fprintf(w, `[{"id":%q,"number":3,"state":"open"}]`, digest)
		case "/gov/constitution":
			w.Header().Set("X-Coco-Digest", digest)
			w.Header().Set("X-Coco-Version", "2")
			fmt.Fprint(w, "page")
		case "/gov/watch":
			fmt.Fprint(w, `{"seqno":18,"events":[{"event":"voted","since":18,"vote":"yes"}]}`)
		case "/gov/constitution/history", "/gov/nodes":
			fmt.Fprint(w, `[{}]`)
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":{"code":"denied","message":"only members govern"}}`)
		}
	}
}

func TestMembersGovernThroughAVerifiedNode(t *testing.T) {
	var asked []string
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) { n.handler = governed(&asked) })
	c := newClient(t, Config{Addr: n.addr, Policy: policy()})
	ctx := t.Context()
	o, err := c.Govern(ctx, []byte("signed"))
	if err != nil || o.State != "accepted" || o.Version != 2 || len(o.Effects) != 1 || o.Effects[0].Text != "code is added" {
		t.Errorf("Govern: %+v, %v", o, err)
	}
	if s, err := c.Simulate(ctx, []byte("actions")); err != nil || !s.Possible {
		t.Errorf("Simulate: %+v, %v", s, err)
	}
	if list, err := c.Proposals(ctx, "open", 5); err != nil || len(list) != 1 || list[0].Number != 3 {
		t.Errorf("Proposals: %+v, %v", list, err)
	}
	if _, err := c.Proposal(ctx, "#3"); !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), "only members govern") {
		t.Errorf("Proposal: %v, expected the node's refusal", err)
	}
	page, v, err := c.ConstitutionAt(ctx, 2)
	if err != nil || string(page) != "page" || v.Version != 2 || v.Digest[0] != 9 {
		t.Errorf("ConstitutionAt: %q, %+v, %v", page, v, err)
	}
	if list, err := c.Versions(ctx); err != nil || len(list) != 1 {
		t.Errorf("Versions: %v, %v", list, err)
	}
	if list, err := c.GovNodes(ctx); err != nil || len(list) != 1 {
		t.Errorf("GovNodes: %v, %v", list, err)
	}
	if events, seqno, err := c.Watch(ctx, 17); err != nil || seqno != 18 || len(events) != 1 || events[0].Vote != "yes" {
		t.Errorf("Watch: %+v, %d, %v", events, seqno, err)
	}
	want := []string{
		`POST /gov/submit application/cose "signed"`, `POST /gov/simulate application/toml "actions"`,
		`GET /gov/proposals?limit=5&state=open  ""`, `GET /gov/proposals/%233  ""`, `GET /gov/constitution?version=2  ""`,
		`GET /gov/constitution/history  ""`, `GET /gov/nodes  ""`, `GET /gov/watch?after=17  ""`,
	}
	if found := strings.Join(asked, "\n"); found != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nexpected\n%s", found, strings.Join(want, "\n"))
	}
}
