package constitution_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/settings"
)

var update = flag.Bool("update", false, "write the golden files")

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestGenesisExample holds the page's language, the defaults, and the canonical form still.
func TestGenesisExample(t *testing.T) {
	c, err := constitution.Parse(readTestdata(t, "constitution.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var facts bytes.Buffer
	fmt.Fprintf(&facts, "digest %s\n", c.Digest())
	for _, m := range c.Members {
		fmt.Fprintf(&facts, "member %s %s\n", m.Actor(), m.Name)
	}
	for _, name := range []string{"kv", "ledger"} {
		fmt.Fprintf(&facts, "settings %s %s\n", name, c.Settings(name))
	}
	for name, got := range map[string][]byte{"constitution.full.toml": c.TOML(), "constitution.facts": facts.Bytes()} {
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := readTestdata(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s differs. Found:\n%s\nexpected:\n%s", name, got, want)
		}
	}
	if c.Settings("other") != nil {
		t.Error("an adapter that is not listed has settings")
	}
}

func TestAPageComesBackFromItsConstitution(t *testing.T) {
	for _, c := range []*constitution.Constitution{govtest.New(t).C, govtest.Parse(t, string(readTestdata(t, "constitution.toml")))} {
		again, err := constitution.Parse(c.TOML())
		if err != nil {
			t.Fatalf("%v in\n%s", err, c.TOML())
		}
		if again.Digest() != c.Digest() || !bytes.Equal(again.TOML(), c.TOML()) {
			t.Errorf("another constitution came back:\n%s\nexpected:\n%s", again.TOML(), c.TOML())
		}
	}
}

func TestTheDigestChangesExactlyWithTheMeaning(t *testing.T) {
	n := govtest.New(t)
	digest := n.C.Digest()
	for name, change := range map[string]func(*constitution.Constitution){
		"nothing":           func(*constitution.Constitution) {},
		"order of members":  func(c *constitution.Constitution) { slices.Reverse(c.Members) },
		"a default written": func(c *constitution.Constitution) { c.Limits.Queue, c.Shares.Threshold = 20_000, 2 },
		"a policy written": func(c *constitution.Constitution) {
			c.Policies = map[string]string{constitution.PolicyDefault: constitution.Majority}
		},
		"an empty list":    func(c *constitution.Constitution) { c.Code = append(make([]constitution.Code, 0, 8), c.Code...) },
		"kinds of numbers": func(c *constitution.Constitution) { c.Adapters["kv"]["max"] = uint8(5) },
		"a whole float":    func(c *constitution.Constitution) { c.Adapters["kv"]["max"] = 5.0 },
		"null":             func(c *constitution.Constitution) { c.Adapters["kv"]["nothing"] = nil },
		"kinds of lists":   func(c *constitution.Constitution) { c.Adapters["kv"]["names"] = []any{"x", json.RawMessage(`"y"`)} },
	} {
		c := n.Constitution()
		change(c)
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		if c.Digest() != digest {
			t.Errorf("%s changes the digest", name)
		}
	}
	seen := map[coco.Digest]string{digest: "the original"}
	for name, change := range map[string]func(*constitution.Constitution){
		"name":           func(c *constitution.Constitution) { c.Network.Name = "test2" },
		"member removed": func(c *constitution.Constitution) { c.Members = c.Members[1:] },
		"renamed member": func(c *constitution.Constitution) { c.Members[0].Name = "Alpha" },
		"member's key":   func(c *constitution.Constitution) { c.Members[0].EncryptionKey = n.Guest.Encryption.Public() },
		"certificate": func(c *constitution.Constitution) {
			c.Members[0].Certificate = govtest.Issue(t, "alpha", nil, true, nil).Cert.Raw
		},
		"participant": func(c *constitution.Constitution) { c.Participants = nil },
		"code":        func(c *constitution.Constitution) { c.Code[0].Measurement += "00" },
		"note":        func(c *constitution.Constitution) { c.Code[0].Note = "" },
		"platform":    func(c *constitution.Constitution) { c.TEE = append(c.TEE, constitution.TEE{Platform: "snp"}) },
		"policy": func(c *constitution.Constitution) {
			c.Policies = map[string]string{constitution.PolicyDefault: "votes.yes > 1"}
		},
		"limit":         func(c *constitution.Constitution) { c.Limits.Queue = 7 },
		"threshold":     func(c *constitution.Constitution) { c.Shares.Threshold = 3 },
		"chunk size":    func(c *constitution.Constitution) { c.Ledger.ChunkBytes = 1 << 20 },
		"snapshots":     func(c *constitution.Constitution) { c.Snapshots.Bytes = 1 << 20 },
		"no snapshots":  func(c *constitution.Constitution) { c.Snapshots.Bytes = constitution.Never },
		"durability":    func(c *constitution.Constitution) { c.Consensus.Durability = constitution.DurableMemory },
		"adapter":       func(c *constitution.Constitution) { c.Adapters["other"] = nil },
		"setting":       func(c *constitution.Constitution) { c.Adapters["kv"]["max"] = 6 },
		"kind":          func(c *constitution.Constitution) { c.Adapters["kv"]["max"] = "5" },
		"order of list": func(c *constitution.Constitution) { c.Adapters["kv"]["names"] = []string{"y", "x"} },
	} {
		c := n.Constitution()
		change(c)
		if err := c.Complete(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[c.Digest()]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[c.Digest()] = name
	}
}

func TestWrongFieldsAreRefusedByName(t *testing.T) {
	n := govtest.New(t)
	for _, c := range []struct {
		path, text string
		change     func(*constitution.Constitution)
	}{
		{"network.name", "without space around it", func(c *constitution.Constitution) { c.Network.Name = "" }},
		{"network.name", "at most 40 characters", func(c *constitution.Constitution) { c.Network.Name = strings.Repeat("x", 41) }},
		{"network.name", "letters", func(c *constitution.Constitution) { c.Network.Name = "a\nb" }},
		{"members", "at least one", func(c *constitution.Constitution) { c.Members = nil }},
		{"members[1].name", `"alpha" is the name of members[0] already`, func(c *constitution.Constitution) { c.Members[1].Name = "alpha" }},
		{"members[1].name", "UTF-8", func(c *constitution.Constitution) { c.Members[1].Name = "\xff" }},
		{"members[2].certificate", "the same as members[0].certificate", func(c *constitution.Constitution) { c.Members[2].Certificate = c.Members[0].Certificate }},
		{"members[2].certificate", "missing", func(c *constitution.Constitution) { c.Members[2].Certificate = nil }},
		{"members[2].certificate", "not an X.509", func(c *constitution.Constitution) { c.Members[2].Certificate = c.Members[2].Certificate[1:] }},
		{"members[2].certificate", "not an X.509", func(c *constitution.Constitution) {
			c.Members[2].Certificate = append(slices.Clip(c.Members[2].Certificate), 0)
		}},
		{"participants[0].certificate", "the same key", func(c *constitution.Constitution) { c.Participants[0].Certificate = govtest.Again(t, n.Members[0]).Raw }},
		{"members[0].certificate", "valid at no time", func(c *constitution.Constitution) {
			c.Members[0].Certificate = govtest.Issue(t, "x", nil, true, func(t *x509.Certificate) { t.NotAfter = govtest.Start.AddDate(-2, 0, 0) }).Cert.Raw
		}},
		{"members[0].encryption_key", "1216 bytes (X-Wing) or 32", func(c *constitution.Constitution) { c.Members[0].EncryptionKey = nil }},
		{"members[0].encryption_key", "small order", func(c *constitution.Constitution) { c.Members[0].EncryptionKey = make([]byte, 32) }},
		{"members[1].encryption_key", "the same as members[0]", func(c *constitution.Constitution) { c.Members[1].EncryptionKey = c.Members[0].EncryptionKey }},
		{"tee", "at least one", func(c *constitution.Constitution) { c.TEE = nil }},
		{"tee[0].platform", "network.insecure = true", func(c *constitution.Constitution) { c.Network.Insecure = false }},
		{"tee[1].platform", "listed by tee[0]", func(c *constitution.Constitution) { c.TEE = append(c.TEE, c.TEE[0]) }},
		{"tee[0].platform", "a word", func(c *constitution.Constitution) { c.TEE[0].Platform = "Virtual TEE" }},
		{"code", "at least one measurement", func(c *constitution.Constitution) { c.Code = nil }},
		{"code[1].measurement", "not in the TEE manifest", func(c *constitution.Constitution) { c.Code = append(c.Code, constitution.Code{Measurement: "snp:00"}) }},
		{"code[1].measurement", "listed by code[0]", func(c *constitution.Constitution) { c.Code = append(c.Code, c.Code[0]) }},
		{"code[0].measurement", "hexadecimal", func(c *constitution.Constitution) { c.Code[0].Measurement = "virtual:XY" }},
		{"code[0].measurement", "hexadecimal", func(c *constitution.Constitution) { c.Code[0].Measurement = "virtual" }},
		{"code[0].note", "at most 1024", func(c *constitution.Constitution) { c.Code[0].Note = strings.Repeat("x", 1025) }},
		{"policies.add_nodes", "unknown policy", func(c *constitution.Constitution) { c.Policies = map[string]string{"add_nodes": "true"} }},
		{"policies.add_node", "1:6", func(c *constitution.Constitution) {
			c.Policies = map[string]string{constitution.PolicyAddNode: "votes.maybe > 1"}
		}},
		{"policies.default", "expected an expression", func(c *constitution.Constitution) { c.Policies = map[string]string{constitution.PolicyDefault: " "} }},
		{"limits.queue", "found -1", func(c *constitution.Constitution) { c.Limits.Queue = -1 }},
		{"limits.body_bytes", "found 1023", func(c *constitution.Constitution) { c.Limits.BodyBytes = 1023 }},
		{"shares.threshold", "1 to 3", func(c *constitution.Constitution) { c.Shares.Threshold = 4 }},
		{"ledger.chunk_bytes", "found 65535", func(c *constitution.Constitution) { c.Ledger.ChunkBytes = 65535 }},
		{"snapshots.bytes", "0 for never", func(c *constitution.Constitution) { c.Snapshots.Bytes = 100 }},
		{"consensus.durability", `"disk" or "memory"`, func(c *constitution.Constitution) { c.Consensus.Durability = "tape" }},
		{"adapters.KV", "a word", func(c *constitution.Constitution) { c.Adapters["KV"] = nil }},
		{"adapters.kv.json", "reserved", func(c *constitution.Constitution) { c.Adapters["kv"]["json"] = "{}" }},
		{"adapters.kv.when", "date", func(c *constitution.Constitution) { c.Adapters["kv"]["when"] = govtest.Start }},
		{"adapters.kv.x", "UTF-8", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = "\xff" }},
		{"adapters.kv", "not UTF-8", func(c *constitution.Constitution) { c.Adapters["kv"]["\xff"] = 1 }},
		{"adapters.kv.x", "finite", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = math.NaN() }},
		{"adapters.kv.x", "no JSON", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = func() {} }},
		{"adapters.kv.x", "no number", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = json.Number("0x1") }},
		{"adapters.kv.x", "digits", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = json.Number(strings.Repeat("9", 129)) }},
		{"adapters.kv.x", "null", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = []any{nil} }},
		{"adapters.kv.x", "levels", func(c *constitution.Constitution) { c.Adapters["kv"]["x"] = nest(40) }},
	} {
		k := n.Constitution()
		c.change(k)
		err := k.Complete()
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.path+": ") && !strings.Contains(err.Error(), c.path+".") || !strings.Contains(err.Error(), c.text) {
			t.Errorf("error %q, expected one about %s: …%s…", err, c.path, c.text)
		}
	}
}

func nest(depth int) any {
	var v any = 1
	for range depth {
		v = map[string]any{"x": v}
	}
	return v
}

func TestWrongPagesAreRefusedByPlace(t *testing.T) {
	good := string(readTestdata(t, "constitution.toml"))
	for _, c := range []struct{ old, replacement, text string }{
		{"batch_count = 4096", "batch_cuont = 4096", "limits.batch_cuont: unknown field (line "},
		{"[limits]", "[limit]", "limit: unknown field"},
		{`note = "release`, `nota = "release`, "code.nota: unknown field"},
		{"batch_count = 4096", "batch_count = 0", "limits.batch_count: expected 1 to 100000, found 0"},
		{"batch_count = 4096", `batch_count = "many"`, "limits.batch_count (line "},
		{"batch_count = 4096", "batch_count = 4096\nbatch_count = 1", "already defined"},
		{"[limits]", "[shares]\nthreshold = 0\n[limits]", "shares.threshold: expected 1 to 3"},
		{"[limits]", "[consensus]\ndurability = ''\n[limits]", "consensus.durability: expected"},
		{"[network]", "[network", "line 3"},
		{"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATES-----", "members[0].certificate: expected a PEM block"},
		{"-----BEGIN CERTIFICATE-----\nMIIB", "-----BEGIN CERTIFICATE-----\nAIIB", "members[0].certificate: not an X.509"},
		{"-----BEGIN PUBLIC KEY-----\nMCow", "-----BEGIN PUBLIC KEY-----\nACow", "members[0].encryption_key"},
		{"encryption_key = ", "encryption_key = '' #", "line"},
		{`json = '{"supply"`, `json = '{"fee": 1, "supply"`, "adapters.ledger.fee: set twice"},
		{`json = '{"supply"`, `json = '{"supply": 1, "supply"`, `"supply" stands twice in one object`},
		{`json = '{"supply"`, `json = '[{"supply"`, "adapters.ledger.json: JSON, line 1"},
		{`{}]}'`, `{}]} x'`, "adapters.ledger.json: JSON, line 1"},
		{`json = '`, `json = 4 #`, "expected a string that holds a JSON object"},
		{`json = '`, `json = '7' #`, "expected a JSON object"},
		{"fee = 0.5", "fee = 2026-01-01", "a date or time"},
		{"fee = 0.5", "fee = 2026-01-01T00:00:00Z", "a date or time"},
		{"fee = 0.5", "fee = nan", "finite"},
		{"fee = 0.5", "fee = " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "levels"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("the example does not contain %q", c.old)
		}
		_, err := constitution.Parse([]byte(strings.Replace(good, c.old, c.replacement, 1)))
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %q, expected %q", c.replacement, err, c.text)
		}
	}
	for _, text := range []string{"", "[network]\nname = 'x'\n"} {
		if _, err := constitution.Parse([]byte(text)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: error %v, expected coco.ErrInvalid", text, err)
		}
	}
	deep := []byte("[adapters]\nx.y = " + strings.Repeat("[", 1<<20))
	if _, err := constitution.Parse(deep); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a deep page: error %v, expected coco.ErrInvalid", err)
	}
	if _, err := constitution.Parse(make([]byte, 64<<20+1)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("an oversized page: error %v, expected coco.ErrInvalid", err)
	}
}

func TestUsingAnIncompleteConstitutionPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	new(constitution.Constitution).Digest()
}

// large returns a constitution whose adapter has a state of n accounts.
func large(t testing.TB, n int) *constitution.Constitution {
	accounts := map[string]any{}
	for i := range n {
		accounts[fmt.Sprintf("0x%040x", i)] = map[string]any{
			"balance": fmt.Sprintf("0x%x", i+1), "code": "it's " + strings.Repeat("60", 8), "nonce": i,
			"storage": map[string]any{fmt.Sprintf("0x%064x", i): fmt.Sprintf("0x%064x", i)},
		}
	}
	net := govtest.New(t)
	c := net.Constitution()
	c.Adapters["ledger"] = map[string]any{"chain_id": 7, "genesis": map[string]any{"alloc": accounts}}
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLargeSettingsStandInThePageAsJSON(t *testing.T) {
	c := large(t, 1000)
	page := c.TOML()
	if lines := bytes.Count(page, []byte("\n")); lines > 200 {
		t.Errorf("the page has %d lines: large settings are not written as JSON", lines)
	}
	again, err := constitution.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != c.Digest() || !bytes.Equal(again.Settings("ledger"), c.Settings("ledger")) {
		t.Error("other settings came back")
	}
}

func BenchmarkParseLarge(b *testing.B) {
	page := large(b, 25_000).TOML()
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := constitution.Parse(page); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(readTestdata(f, "constitution.toml"))
	f.Add(readTestdata(f, "constitution.full.toml"))
	f.Add([]byte("[adapters.x]\njson='{}'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := constitution.Parse(text)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("error %v, expected coco.ErrInvalid", err)
			}
			return
		}
		page := c.TOML()
		again, err := constitution.Parse(page)
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		if again.Digest() != c.Digest() || !bytes.Equal(again.TOML(), page) {
			t.Fatalf("another constitution came back from\n%s", page)
		}
		core, err := constitution.Decode(c.Canonical())
		if err != nil || core.Digest() != c.Digest() || len(core.AdapterDigests()) != len(c.Adapters) {
			t.Fatalf("the canonical form does not come back: %v", err)
		}
	})
}

// FuzzSettings holds that settings have one canonical form, which TOML and JSON carry unchanged.
func FuzzSettings(f *testing.F) {
	f.Add(`{"a": [1, 2.50, -0, 1e400, "x'''\u0000\u2028"], "b": {"c": null, "": {}}}`)
	f.Add(`{"a": 1e2, "b": 123456789012345678901234567890, "c": 1e-7, "d": 1E+22, "e": [[], [{}]]}`)
	f.Add(`{"json": 1}`)
	n := govtest.New(f)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := settings.Parse([]byte(text))
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		c := n.Constitution()
		c.Adapters["x"] = m
		if err := c.Complete(); err != nil {
			return
		}
		page := c.TOML()
		again, err := constitution.Parse(page)
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		if !bytes.Equal(again.Settings("x"), c.Settings("x")) {
			t.Fatalf("settings %s came back as %s", c.Settings("x"), again.Settings("x"))
		}
		plain, err := settings.Parse(c.Settings("x"))
		if err != nil {
			t.Fatal(err)
		}
		c.Adapters["x"] = plain.(map[string]any)
		if err := c.Complete(); err != nil || c.Digest() != again.Digest() {
			t.Fatalf("the canonical form %s is not its own (%v)", c.Settings("x"), err)
		}
	})
}

func TestAdaptersCompleteTheSettingsOfANewNetwork(t *testing.T) {
	page := readTestdata(t, "constitution.toml")
	asked := map[string]string{}
	complete := func(adapter string, text []byte) ([]byte, error) {
		asked[adapter] = string(text)
		if adapter != "kv" || bytes.Contains(text, []byte(`"default"`)) {
			return text, nil
		}
		return []byte(`{"default":7}`), nil // it has none of its own
	}
	c, err := constitution.ParseNew(page, complete)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := constitution.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	for name := range plain.Adapters {
		if asked[name] != string(plain.Settings(name)) {
			t.Errorf("%s was asked about %s, expected %s", name, asked[name], plain.Settings(name))
		}
	}
	if !strings.Contains(string(c.Settings("kv")), `"default":7`) || !strings.Contains(string(c.TOML()), "default = 7") || c.Digest() == plain.Digest() {
		t.Errorf("settings %s and page\n%s", c.Settings("kv"), c.TOML())
	}
	// Whoever reads the page or the stored form needs no adapter.
	for name, again := range map[string]func() (*constitution.Constitution, error){
		"the page":        func() (*constitution.Constitution, error) { return constitution.Parse(c.TOML()) },
		"the page, new":   func() (*constitution.Constitution, error) { return constitution.ParseNew(c.TOML(), complete) },
		"the stored form": func() (*constitution.Constitution, error) { return constitution.Decode(c.Canonical()) },
	} {
		if got, err := again(); err != nil || got.Digest() != c.Digest() {
			t.Errorf("%s: other digest (%v)", name, err)
		}
	}
	for want, bad := range map[string]func(string, []byte) ([]byte, error){
		"no such setting":        func(string, []byte) ([]byte, error) { return nil, fmt.Errorf("%w: no such setting", coco.ErrInvalid) },
		"expected a JSON object": func(string, []byte) ([]byte, error) { return []byte("7"), nil },
		"adapters.":              func(string, []byte) ([]byte, error) { return []byte("{"), nil },
	} {
		if _, err := constitution.ParseNew(page, bad); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
}
