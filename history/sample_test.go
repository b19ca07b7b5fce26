package history

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the test vector of package segment anew")

// The test vector is read in package segment, which knows no network to make it of.
func TestTheVectorIsMadeByUpdateAlone(t *testing.T) {
	if !*update {
		t.Skip("it is there")
	}
	const sample = "index_1-7"
	n := newNetwork(t, 3000)
	n.fill(10)
	runOn(n.index(0))
	if err := os.WriteFile("segment/testdata/"+sample, n.world.Files("n", indexDir)[indexDir+"/"+sample], 0o600); err != nil {
		t.Fatal(err)
	}
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
