package constitution

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/settings"
	"github.com/cocoframework/coco/keys"
)

// inlineJSON is up to how many bytes of JSON a setting is written as TOML.
const inlineJSON = 8 << 10

// TOML returns the constitution as a page for people, with every default written out. Parsing it
// gives the same constitution again.
func (c *Constitution) TOML() []byte {
	c.completed()
	var w tomlWriter
	w.comment("The constitution of a Coco network.")
	w.b.WriteByte('\n')
	w.field("version", c.Version)
	w.field("rules", c.Rules)
	w.table("network")
	w.field("name", c.Network.Name)
	if c.Network.Insecure {
		w.comment("INSECURE: TEEs may be simulated. Such a network protects nothing.")
	}
	w.field("insecure", c.Network.Insecure)

	w.heading("Who governs. A certificate stands for the organisation and everyone under it.")
	for _, m := range c.Members {
		w.element("members")
		w.actor(m.Name, m.ID, m.Certificate, m.Certificates)
		if m.Weight != 1 {
			w.field("weight", m.Weight)
		}
		key, err := keys.MarshalPublicKey(m.EncryptionKey)
		if err != nil {
			panic(err) // Complete has checked the key
		}
		if of, err := keys.AlgorithmOf(m.EncryptionKey); err == nil && of != keys.X25519 { // whose bytes are short enough to compare
			w.comment(fmt.Sprintf("For %s, with the fingerprint %s.", of, keys.Fingerprint(m.EncryptionKey)))
		}
		w.block("encryption_key", key)
	}
	if len(c.Participants) > 0 {
		w.heading("Who transacts and does not govern.")
	}
	for _, p := range c.Participants {
		w.element("participants")
		w.actor(p.Name, p.ID, p.Certificate, p.Certificates)
	}
	if len(c.Revoked) > 0 {
		w.heading("Certificates that organisations issued and that stand for them no more, by the SHA-256 of their TBSCertificate.")
		w.table("revoked")
		w.b.WriteString("certificates = [\n")
		for _, d := range c.Revoked {
			w.b.WriteString("\"" + d.String() + "\",\n")
		}
		w.b.WriteString("]\n")
	}
	w.issuers(c)
	w.heading("What nodes may run.")
	for _, code := range c.Code {
		w.element("code")
		w.field("measurement", string(code.Measurement))
		if code.Note != "" {
			w.field("note", code.Note)
		}
	}
	w.heading("Which TEEs count.")
	for _, t := range c.TEE {
		w.element("tee")
		w.field("platform", t.Platform)
		if t.Debug {
			w.comment("INSECURE: the owner of such a TEE can look into it.")
			w.field("debug", true)
		}
		policy := t.PolicyTable()
		for _, name := range slices.Sorted(maps.Keys(policy)) {
			w.field(name, policy[name])
		}
	}
	w.heading("What decides a proposal.")
	w.table("policies")
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		w.field(name, c.Policies[name])
	}
	w.table("limits")
	for _, l := range c.Limits.all() {
		w.field(strings.TrimPrefix(l.path, "limits."), *l.value)
	}
	w.added(c, "limits")
	w.heading("How many members together open an epoch's secret.")
	w.table("shares")
	w.field("threshold", c.Shares.Threshold)
	w.added(c, "shares")
	w.heading(`When a node acknowledges a batch: once it is on its "disk" or in its "memory".`)
	w.table("consensus")
	w.field("durability", string(c.Consensus.Durability))
	w.added(c, "consensus")
	w.heading("With how many bytes a file of the ledger is complete.")
	w.table("ledger")
	for _, l := range c.Ledger.all() {
		w.field(strings.TrimPrefix(l.path, "ledger."), *l.value)
	}
	w.added(c, "ledger")
	w.heading("When a snapshot of the state is written, counted from the last one; 0 means never by that.")
	w.table("snapshots")
	for _, l := range c.Snapshots.all() {
		w.field(strings.TrimPrefix(l.path, "snapshots."), *l.value)
	}
	w.added(c, "snapshots")
	for _, section := range c.sections() {
		w.heading(headings[section])
		w.table(section)
		w.added(c, section)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Adapters)) {
		w.adapter(name, c.Adapters[name])
	}
	return []byte(w.b.String())
}

// added writes the settings of a section that versions of the rules added.
func (w *tomlWriter) added(c *Constitution, section string) {
	for _, s := range c.Added() {
		if name, ok := strings.CutPrefix(s.Path, section+"."); ok {
			w.field(name, s.Value)
		}
	}
}

func (w *tomlWriter) actor(name string, id coco.ActorID, first []byte, further [][]byte) {
	w.field("name", name)
	if id != identity(coco.ActorID{}, first) {
		w.field("id", id.String())
	}
	w.block("certificate", certificatePEM(first))
	if len(further) == 0 {
		return
	}
	w.b.WriteString("certificates = [\n")
	for _, der := range further {
		w.b.WriteString("'''\n" + string(certificatePEM(der)) + "''',\n")
	}
	w.b.WriteString("]\n")
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// tomlWriter writes the subset of TOML that constitutions need.
type tomlWriter struct{ b strings.Builder }

func (w *tomlWriter) comment(text string) { w.b.WriteString("# " + text + "\n") }

func (w *tomlWriter) heading(text string) { w.b.WriteString("\n# " + text) }

func (w *tomlWriter) table(path ...string) {
	w.b.WriteString("\n[" + tomlPath(path) + "]\n")
}

func (w *tomlWriter) element(name string) { w.b.WriteString("\n[[" + name + "]]\n") }

func (w *tomlWriter) field(name string, v any) {
	w.b.WriteString(tomlKey(name) + " = ")
	w.value(v)
	w.b.WriteByte('\n')
}

// block writes text of several lines that contains no quotes.
func (w *tomlWriter) block(name string, text []byte) {
	w.b.WriteString(name + " = '''\n" + string(text) + "'''\n")
}

func (w *tomlWriter) adapter(name string, all map[string]any) {
	small, large := map[string]any{}, map[string]any{}
	for k, v := range all {
		if text, err := settings.JSON(v); err != nil {
			panic(err) // Complete has encoded it before
		} else if len(text) > inlineJSON || !settings.FitsTOML(v) {
			large[k] = v
		} else {
			small[k] = v
		}
	}
	w.heading("Settings of the adapter.")
	path := []string{"adapters", name}
	w.table(path...)
	if len(large) > 0 {
		text, err := settings.JSON(large)
		if err != nil {
			panic(err) // as above
		}
		// A quote can stand only in JSON's strings, and nothing else ends the literal.
		w.block(jsonKey, []byte(strings.ReplaceAll(string(text), "'", `\u0027`)+"\n"))
	}
	w.settings(path, small)
}

// settings writes the fields of a table, then the tables below it.
func (w *tomlWriter) settings(path []string, m map[string]any) {
	names := slices.Sorted(maps.Keys(m))
	for _, name := range names {
		if isField(m[name]) {
			w.field(name, m[name])
		}
	}
	for _, name := range names {
		if sub, ok := m[name].(map[string]any); ok {
			below := append(slices.Clone(path), name)
			if len(sub) == 0 || slices.ContainsFunc(slices.Collect(maps.Values(sub)), isField) {
				w.table(below...)
			}
			w.settings(below, sub)
		}
	}
}

// isField says whether a value is written after its name and not as a table.
func isField(v any) bool {
	_, table := v.(map[string]any)
	return !table
}

func (w *tomlWriter) value(v any) {
	switch v := v.(type) {
	case bool, int, int64, uint64, json.Number:
		fmt.Fprint(&w.b, v)
	case string:
		w.b.WriteString(tomlString(v))
	case []any:
		w.b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				w.b.WriteString(", ")
			}
			w.value(e)
		}
		w.b.WriteByte(']')
	case map[string]any:
		if len(v) == 0 {
			w.b.WriteString("{}")
			return
		}
		w.b.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.b.WriteByte(',')
			}
			w.b.WriteString(" " + tomlKey(name) + " = ")
			w.value(v[name])
		}
		w.b.WriteString(" }")
	default:
		panic(fmt.Sprintf("gov: no TOML for %T", v)) // Complete lets nothing else through
	}
}

func tomlPath(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = tomlKey(p)
	}
	return strings.Join(parts, ".")
}

func tomlKey(s string) string {
	bare := s != ""
	for _, r := range []byte(s) {
		bare = bare && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	if bare {
		return s
	}
	return tomlString(s)
}

func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
