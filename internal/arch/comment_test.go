package arch

import (
	"regexp"
	"strings"
	"testing"
)

var trustLine = regexp.MustCompile(`(?m)^Trust: (enclave|host|either)$`)

func TestEveryPackageSaysWhomItTrusts(t *testing.T) {
	for _, p := range load(t) {
		var docs []string
		for _, f := range p.files {
			if f.Doc != nil {
				docs = append(docs, f.Doc.Text())
			}
		}
		switch {
		case len(docs) != 1:
			t.Errorf("%s has %d package comments; it needs one", p.ImportPath, len(docs))
		case !trustLine.MatchString(docs[0]) || !trustLine.MatchString(lastLine(docs[0])):
			t.Errorf("%s: the package comment must end in a line `Trust: enclave`, `Trust: host` or `Trust: either`", p.ImportPath)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
