package constitution

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/keys"
)

// Bounds of a constitution.
const (
	maxActors      = keys.MaxMembers
	maxCode        = 1024
	maxName        = 64
	maxNetworkName = 40
	maxNote        = 1024
	MaxCertificate = 16 << 10

	maxCertificates = 16 // of an actor
	maxWeight       = 1_000_000_000
	maxVersion      = 1 << 53

	// maxCallBytes bounds a call and a batch. A batch exceeds its limit by one call at most, and
	// must then still fit into one frame between nodes with what executing it adds.
	maxCallBytes = 16 << 20
)

// limit is a number of the constitution with its bounds.
type limit[T int | int64] struct {
	path           string
	value          *T
	def, low, high T
}

func (l *Limits) all() []limit[int] {
	return []limit[int]{
		{"limits.body_bytes", &l.BodyBytes, 5 << 20, 1 << 10, maxCallBytes},
		{"limits.batch_count", &l.BatchCount, 2000, 1, 100_000},
		{"limits.batch_bytes", &l.BatchBytes, 4 << 20, 1 << 10, maxCallBytes},
		{"limits.queue", &l.Queue, 20_000, 1, 10_000_000},
	}
}

func (l *Ledger) all() []limit[int64] {
	return []limit[int64]{{"ledger.chunk_bytes", &l.ChunkBytes, 64 << 20, 64 << 10, 2 << 30}}
}

// all returns the limits of what is not zero. A snapshot's own record is a transaction, so one after
// each would never end.
func (s *SnapshotPolicy) all() []limit[int64] {
	return []limit[int64]{
		{"snapshots.transactions", &s.Transactions, 200_000, 2, 1e12},
		{"snapshots.bytes", &s.Bytes, 256 << 20, 64 << 10, 1 << 50},
		{"snapshots.seconds", &s.Seconds, 3600, 1, 1e9},
	}
}

func (s *SnapshotPolicy) fill() {
	if s.filled {
		return
	}
	for _, l := range s.all() {
		*l.value = max(cmp.Or(*l.value, l.def), 0)
	}
	s.filled = true
}

// Complete fills in every default, brings lists into their canonical order, and checks everything.
// The error is coco.ErrInvalid and names the field. Completing again does no harm.
func (c *Constitution) Complete() error {
	c.done = nil
	c.fill()
	done := &completed{settings: map[string][]byte{}, roots: x509.NewCertPool()}
	for _, step := range []func(*completed) error{
		c.checkNetwork, c.checkActors, c.checkCode, c.checkRules, c.checkPolicies, c.normalizeAdapters, c.encodeCore,
	} {
		if err := step(done); err != nil {
			return err
		}
	}
	c.done = done
	return nil
}

func (c *Constitution) fill() {
	c.Version, c.Rules = cmp.Or(c.Version, 1), cmp.Or(c.Rules, CurrentRules)
	for _, l := range c.Limits.all() {
		*l.value = cmp.Or(*l.value, l.def)
	}
	for _, l := range c.Ledger.all() {
		*l.value = cmp.Or(*l.value, l.def)
	}
	c.Snapshots.fill()
	c.fillSince()
	c.Shares.Threshold = cmp.Or(c.Shares.Threshold, len(c.Members)/2+1)
	c.Consensus.Durability = cmp.Or(c.Consensus.Durability, DurableDisk)
	policies := map[string]string{PolicyAddNode: AutomaticAddNode, PolicyDefault: Majority}
	maps.Copy(policies, c.Policies)
	c.Policies = policies
	c.own()
	for i := range c.Members {
		c.Members[i].Weight = cmp.Or(c.Members[i].Weight, 1)
	}
}

// own makes the constitution's lists its own, and none and empty alike.
func (c *Constitution) own() {
	c.Members = append([]Member{}, c.Members...)
	for i := range c.Members {
		m := &c.Members[i]
		m.ID, m.Certificates = m.Actor(), slices.Clone(m.Certificates)
	}
	c.Participants = append([]Participant{}, c.Participants...)
	for i := range c.Participants {
		p := &c.Participants[i]
		p.ID, p.Certificates = p.Actor(), slices.Clone(p.Certificates)
	}
	c.Code = append([]Code{}, c.Code...)
	c.TEE = append([]TEE{}, c.TEE...)
	c.Revoked = slices.Clone(c.Revoked)
	c.Access = c.Access.Clone()
}

// sort brings the lists into canonical order. The checks come first, so that they name places as
// the author wrote them.
func (c *Constitution) sort() {
	slices.SortFunc(c.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Participants, func(a, b Participant) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range c.Members {
		slices.SortFunc(m.Certificates, bytes.Compare)
	}
	for _, p := range c.Participants {
		slices.SortFunc(p.Certificates, bytes.Compare)
	}
	slices.SortFunc(c.Code, func(a, b Code) int { return cmp.Compare(a.Measurement, b.Measurement) })
	slices.SortFunc(c.Revoked, compareDigests)
	c.Access.Sort()
	slices.SortFunc(c.TEE, func(a, b TEE) int { return strings.Compare(a.Platform, b.Platform) })
}

// invalid is the error that a field of a constitution is not possible. The words are for those who write one.
func invalid(path string, code reason.Code, format string, args ...any) error {
	return &reason.Error{Reason: reason.New(code, path, ""), Detail: fmt.Sprintf("constitution: %s: %s", path, fmt.Sprintf(format, args...))}
}

// tooNew is the error that a constitution has something that its version of the rules does not know yet.
func tooNew(path string, since, rules uint64) error {
	return invalid(path, reason.UnknownSetting, "the rules of version %d do not have it: it exists since version %d", rules, since)
}

// outOfRange is the error that a number of a constitution is not within its bounds; more says what the upper one is,
// or what else is possible.
func outOfRange[T int | int64 | uint64](path string, low, high, found T, more string) error {
	bounds := fmt.Sprintf("%d to %d", low, high)
	if low == high {
		bounds = fmt.Sprint(low)
	}
	return &reason.Error{
		Reason: reason.Range(path, int64(low), int64(high)),
		Detail: fmt.Sprintf("constitution: %s: expected %s%s, found %d", path, bounds, more, found),
	}
}

func checkText(path, s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalid(path, reason.TooLong, "expected at most %d bytes, found %d", limit, len(s))
	case !utf8.ValidString(s):
		return invalid(path, reason.BadText, "expected UTF-8")
	}
	return nil
}

// checkName accepts what can be shown on one line and told apart by people.
func checkName(path, s string) error {
	if err := checkText(path, s, maxName); err != nil {
		return err
	}
	if s == "" || strings.TrimSpace(s) != s {
		return invalid(path, reason.BadName, "expected a name without space around it, found %q", s)
	}
	for _, r := range s {
		if r != ' ' && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) {
			return invalid(path, reason.BadName, "expected letters, digits, punctuation and spaces, found %q", s)
		}
	}
	return nil
}

func (c *Constitution) checkNetwork(*completed) error {
	// The name stands in certificates, whose fields are short.
	if n := utf8.RuneCountInString(c.Network.Name); n > maxNetworkName {
		return invalid("network.name", reason.TooLong, "expected at most %d characters, found %d", maxNetworkName, n)
	}
	if c.Version == 0 || c.Version > maxVersion {
		return outOfRange("version", 1, maxVersion, c.Version, "")
	}
	if c.Rules > CurrentRules || c.Rules == 0 {
		return unknownRules(c.Rules)
	}
	return checkName("network.name", c.Network.Name)
}

func (c *Constitution) checkActors(done *completed) error {
	if len(c.Members) == 0 {
		return invalid("members", reason.Missing, "expected at least one member")
	}
	if n := len(c.Members) + len(c.Participants); n > maxActors {
		return invalid("members", reason.TooMany, "expected at most %d members and participants, found %d", maxActors, n)
	}
	r := roster{done: done, names: map[string]string{}, ids: map[coco.ActorID]string{}, certs: map[string]string{}, publics: map[string]owned{}}
	encryption := map[string]string{}
	for i, m := range c.Members {
		path := fmt.Sprintf("members[%d]", i)
		if err := r.add(path, m.Name, coco.Member, m.ID, m.Certificate, m.Certificates); err != nil {
			return err
		}
		if m.Weight == 0 || m.Weight > maxWeight {
			return outOfRange(path+".weight", 1, maxWeight, m.Weight, "")
		}
		if err := keys.CheckPublicKey(m.EncryptionKey); err != nil {
			return invalid(path+".encryption_key", reason.BadKey, "%v", err)
		}
		if of, err := keys.AlgorithmOf(m.EncryptionKey); c.Rules < 3 && (err != nil || of != keys.X25519) {
			return invalid(path+".encryption_key", reason.BadKey, "it is for %s, and rules %d know keys for %s only", of, c.Rules, keys.X25519)
		}
		if first, ok := encryption[string(m.EncryptionKey)]; ok {
			return invalid(path+".encryption_key", reason.Duplicate, "the same as %s.encryption_key: every member needs a key of its own", first)
		}
		encryption[string(m.EncryptionKey)] = path
	}
	for i, p := range c.Participants {
		if err := r.add(fmt.Sprintf("participants[%d]", i), p.Name, coco.Participant, p.ID, p.Certificate, p.Certificates); err != nil {
			return err
		}
	}
	return nil
}

// roster collects the actors and finds duplicates.
type roster struct {
	done         *completed
	names, certs map[string]string // where a value was met first
	ids          map[coco.ActorID]string
	publics      map[string]owned // by public key
}

// owned is where a public key was met first, and whose it is.
type owned struct {
	path string
	id   coco.ActorID
}

func (r *roster) add(path, name string, role coco.Role, id coco.ActorID, first []byte, further [][]byte) error {
	if err := checkName(path+".name", name); err != nil {
		return err
	}
	if first, ok := r.names[name]; ok {
		return invalid(path+".name", reason.Duplicate, "%q is the name of %s already", name, first)
	}
	r.names[name] = path
	if len(further) >= maxCertificates {
		return invalid(path+".certificates", reason.TooMany, "expected at most %d further certificates, found %d", maxCertificates-1, len(further))
	}
	if err := r.certificate(path+".certificate", actor{id: id, name: name, role: role}, first); err != nil {
		return err
	}
	for i, der := range further {
		if err := r.certificate(fmt.Sprintf("%s.certificates[%d]", path, i), actor{id: id, name: name, role: role}, der); err != nil {
			return err
		}
	}
	if first, ok := r.ids[id]; ok {
		return invalid(path+".id", reason.Duplicate, "%s is the id of %s already", id.Short(), first)
	}
	r.ids[id] = path
	return nil
}

func (r *roster) certificate(path string, a actor, der []byte) error {
	if len(der) == 0 {
		return invalid(path, reason.Missing, "missing")
	}
	if len(der) > MaxCertificate {
		return invalid(path, reason.TooLong, "expected at most %d bytes, found %d", MaxCertificate, len(der))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return invalid(path, reason.BadCertificate, "not an X.509 certificate: %v", err)
	}
	if cert.NotAfter.Before(cert.NotBefore) {
		return invalid(path, reason.BadCertificate, "it is valid at no time: it ends (%s) before it begins (%s)", cert.NotAfter, cert.NotBefore)
	}
	if first, ok := r.certs[string(der)]; ok {
		return invalid(path, reason.Duplicate, "the same as %s", first)
	}
	if first, ok := r.publics[string(cert.RawSubjectPublicKeyInfo)]; ok && first.id != a.id {
		return invalid(path, reason.Duplicate, "it has the same key as %s: every organisation needs a key of its own", first.path)
	}
	r.certs[string(der)] = path
	r.publics[string(cert.RawSubjectPublicKeyInfo)] = owned{path, a.id}
	a.cert = cert
	r.done.actors = append(r.done.actors, a)
	r.done.roots.AddCert(cert)
	return nil
}

func (c *Constitution) checkCode(*completed) error {
	if len(c.TEE) == 0 {
		return invalid("tee", reason.Missing, "expected at least one platform")
	}
	if len(c.TEE) > maxCode {
		return invalid("tee", reason.TooMany, "expected at most %d platforms, found %d", maxCode, len(c.TEE))
	}
	platforms := map[string]string{}
	for i, t := range c.TEE {
		path := fmt.Sprintf("tee[%d].platform", i)
		if !isWord(t.Platform) {
			return invalid(path, reason.BadForm, "expected a word such as %q, found %q", "snp", t.Platform)
		}
		if first, ok := platforms[t.Platform]; ok {
			return invalid(path, reason.Duplicate, "%q is listed by %s already", t.Platform, first)
		}
		if t.Platform == Virtual && !c.Network.Insecure {
			return invalid(path, reason.Insecure, "%q is a simulated TEE, which protects nothing: only a network with network.insecure = true may list it", t.Platform)
		}
		if t.Debug && !c.Network.Insecure {
			return invalid(fmt.Sprintf("tee[%d].debug", i), reason.Insecure, "a TEE in debug mode protects nothing: only a network with network.insecure = true may let it in")
		}
		if err := checkTEEPolicy(fmt.Sprintf("tee[%d]", i), t.Policy); err != nil {
			return err
		}
		platforms[t.Platform] = path
	}
	if len(c.Code) == 0 {
		return invalid("code", reason.Missing, "expected at least one measurement: without one no node can be admitted")
	}
	if len(c.Code) > maxCode {
		return invalid("code", reason.TooMany, "expected at most %d measurements, found %d", maxCode, len(c.Code))
	}
	measurements := map[coco.Measurement]string{}
	for i, code := range c.Code {
		path := fmt.Sprintf("code[%d].measurement", i)
		platform, hex, _ := strings.Cut(string(code.Measurement), ":")
		if !isWord(platform) || !isHex(hex) {
			return invalid(path, reason.BadForm, "expected a platform, a colon and lower-case hexadecimal digits, found %q", code.Measurement)
		}
		if _, ok := platforms[platform]; !ok {
			return invalid(path, reason.UnlistedPlatform, "platform %q is not in the TEE manifest: add it to tee", platform)
		}
		if first, ok := measurements[code.Measurement]; ok {
			return invalid(path, reason.Duplicate, "%q is listed by %s already", code.Measurement, first)
		}
		measurements[code.Measurement] = path
		if err := checkText(fmt.Sprintf("code[%d].note", i), code.Note, maxNote); err != nil {
			return err
		}
	}
	return nil
}

// isWord accepts the names of platforms and adapters.
func isWord(s string) bool {
	for i, r := range []byte(s) {
		if !(r >= 'a' && r <= 'z' || i > 0 && (r >= '0' && r <= '9' || r == '_' || r == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func isHex(s string) bool {
	return s != "" && len(s)%2 == 0 && len(s) <= 256 && strings.Trim(s, "0123456789abcdef") == ""
}

func (c *Constitution) checkRules(*completed) error {
	for _, name := range []string{PolicyAddNode, PolicyDefault} {
		if _, ok := c.Policies[name]; !ok {
			return invalid("policies."+name, reason.Missing, "missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		path, text := "policies."+name, c.Policies[name]
		if _, err := action.ParseKind(name); name != PolicyDefault && (err != nil || strings.Contains(name, "-")) {
			return invalid(path, reason.UnknownPolicy, "unknown policy: expected %s or a kind of action, such as %s", PolicyDefault, PolicyAddNode)
		}
		if strings.TrimSpace(text) == "" {
			return invalid(path, reason.Missing, "expected an expression, found none")
		}
		if err := checkText(path, text, policy.MaxBytes); err != nil {
			return err
		}
	}
	for _, l := range c.Limits.all() {
		if *l.value < l.low || *l.value > l.high {
			return outOfRange(l.path, l.low, l.high, *l.value, "")
		}
	}
	for _, l := range c.Ledger.all() {
		if *l.value < l.low || *l.value > l.high {
			return outOfRange(l.path, l.low, l.high, *l.value, "")
		}
	}
	for _, l := range c.Snapshots.all() {
		if *l.value != 0 && (*l.value < l.low || *l.value > l.high) {
			return outOfRange(l.path, l.low, l.high, *l.value, ", or 0 for never")
		}
	}
	if t := c.Shares.Threshold; t < 1 || t > len(c.Members) {
		return outOfRange("shares.threshold", 1, len(c.Members), t, ", the number of members")
	}
	if d := c.Consensus.Durability; d != DurableDisk && d != DurableMemory {
		return invalid("consensus.durability", reason.BadForm, "expected %q or %q, found %q", DurableDisk, DurableMemory, d)
	}
	return c.checkSince()
}

func (c *Constitution) checkPolicies(*completed) error { return c.CheckPolicies() }

// CheckPolicies compiles the policies. What is stored has passed this check. The error is coco.ErrInvalid.
func (c *Constitution) CheckPolicies() error {
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if _, err := policy.Compile(c.Policies[name]); err != nil {
			return invalid("policies."+name, reason.BadPolicy, "%s", strings.TrimPrefix(err.Error(), coco.ErrInvalid.Error()+": "))
		}
	}
	return nil
}
