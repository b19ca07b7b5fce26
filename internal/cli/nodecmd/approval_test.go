package nodecmd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/keys"
)

// What --approve takes is what the question takes: the whole digest or the fingerprint, and nothing shorter.
func TestAnApprovalIsTheDigestOrItsFingerprint(t *testing.T) {
	digest := coco.Digest{0x41, 0x07, 0xcd, 0xe9, 0x8e, 0x16, 0x41, 0x7d, 0x12, 0x93, 15: 0xaa, 19: 0xbb, 20: 0xff}
	for given, ok := range map[string]bool{
		digest.String(): true, strings.ToUpper(digest.String()): true, digest.Fingerprint(): true, "4107 cde9 8e16 417d 1293 0000 0000 00aa 0000 00bb": true, " 4107CDE98E16417D12930000000000AA000000BB\t": true,
		"": false, "4107cde9": false, "4107 cde9 8e16 417d 1293": false, digest.String()[:39]: false, digest.String()[:41]: false, digest.String()[:63]: false, "4107 cde9 8e16 417d 1293 0000 0000 00aa 0000 00bc": false,
	} {
		if approves(given, digest) != ok {
			t.Errorf("%q approves: %v", given, !ok)
		}
	}
}

func identityOf(t *testing.T, c *constitution.Constitution) *reach.Identity {
	t.Helper()
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	return &reach.Identity{
		Network: c.Network.Name, ID: coco.Digest{1}, Ends: time.Now().AddDate(9, 0, 0), Constitution: c.Digest(), Version: c.Version, Page: string(c.TOML()),
		Peers: []reach.Peer{{Address: "a:1"}}, Parsed: c,
	}
}

// The page that an operator approves begins with a table, in which all that counts is one row each.
func TestThePageToApproveBeginsWithATable(t *testing.T) {
	id := identityOf(t, govtest.New(t).Constitution())
	var out bytes.Buffer
	(&app{&cli.App{Out: cli.NewPrinter(&out)}}).showIdentity(id, []string{"a warning"})
	page := out.String()
	table, rest, _ := strings.Cut(page, "  digest ")
	for _, want := range []string{
		"fingerprint", id.Constitution.Fingerprint(), "policy default", "policy add-node", "limits ", "queue ", "shares ", "members' keys open the ledger", "durability",
		string(id.Parsed.Code[0].Measurement), id.Parsed.Members[0].Name + ", id " + id.Parsed.Members[0].Actor().Fingerprint(), id.Parsed.Members[2].Name,
		"encryption key for X25519, fingerprint " + keys.Fingerprint(id.Parsed.Members[1].EncryptionKey),
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(rest), id.Constitution.String()) {
		t.Errorf("the whole digest does not follow the table: %.100s", rest)
	}
	if last := strings.LastIndex(rest, "! a warning"); last < strings.LastIndex(rest, "  | ") {
		t.Error("the warnings are not at the end, where the question is")
	}
}

// Certificates that end soon, have ended or do not hold yet are named, whosesoever they are.
func TestThePageToApproveWarnsOfCertificates(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	late := now.Add(900 * day)
	for name, c := range map[string]struct {
		service, member, owner time.Time
		begins                 time.Time // of the member's
		says                   []string
	}{
		"none":                         {late, late, late, now.Add(-day), nil},
		"the service's ends":           {now.Add(20 * day), late, late, now.Add(-day), []string{"the service's certificate ends on 2026-12-19"}},
		"a member's ends":              {late, now.Add(20 * day), late, now.Add(-day), []string{"in the constitution ends on 2026-12-19", "add-certificate"}},
		"a member's ends in a vote":    {late, now.Add(3 * day), late, now.Add(-day), []string{"in the constitution ends on 2026-12-02", "2 of 3 can sign on 2026-12-06"}},
		"a member's has ended":         {late, now.Add(-day), late, now.Add(-9 * day), []string{"in the constitution ended on 2026-11-28", "2 of 3 can sign now"}},
		"a member's does not hold yet": {late, late, late, now.Add(day), []string{"not valid before 2026-11-30"}},
		"the node owner's ends":        {late, late, now.Add(day), now.Add(-day), []string{"this node's owner certificate", "ends on 2026-11-30"}},
	} {
		con := govtest.New(t).XWing().Constitution()
		con.Policies = map[string]string{constitution.PolicyDefault: constitution.Majority, constitution.PolicyAddNode: constitution.Majority}
		for i := range con.Members {
			begins, ends := now.Add(-day), late
			if i == 1 {
				begins, ends = c.begins, c.member
			}
			con.Members[i].Certificate = certificateOf(t, con.Members[i].Name, begins, ends).Raw
		}
		con.Participants = nil
		id := identityOf(t, con)
		id.Ends = c.service
		said := strings.Join(warnings(id, []*x509.Certificate{certificateOf(t, "delta", now.Add(-day), c.owner)}, now), "\n")
		if c.says == nil && said != "" {
			t.Errorf("%s: %q", name, said)
		}
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q lacks %q", name, said, want)
			}
		}
	}
}

func certificateOf(t *testing.T, name string, begins, ends time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: begins, NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A certificate for votes does not make a node the organisation's, and an operator reads it before the node is refused.
func TestThePageToApproveWarnsOfAnOwnerCertificateThatIsNotForNodes(t *testing.T) {
	n := govtest.New(t)
	id := identityOf(t, n.Constitution())
	for unit, warned := range map[string]bool{coco.GovernanceUnit: true, "": true, coco.NodesUnit: false} {
		leaf := govtest.Issue(t, "delta", n.Members[0], false, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{unit} })
		said := strings.Join(warnings(id, []*x509.Certificate{leaf.Cert}, govtest.Start), "\n")
		if strings.Contains(said, "is not for nodes") != warned {
			t.Errorf("unit %q: %q", unit, said)
		}
	}
	if said := strings.Join(warnings(id, []*x509.Certificate{n.Members[0].Cert}, govtest.Start), "\n"); strings.Contains(said, "is not for nodes") {
		t.Errorf("the organisation's own: %q", said)
	}
}

// A constitution by which each single member opens the ledger alone is approved by nobody unwarned.
func TestThePageToApproveWarnsOfARecoveryOwner(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for threshold, warned := range map[int]bool{1: true, 2: false, 3: false} {
		con := govtest.New(t).Constitution()
		if con.Shares.Threshold = threshold; threshold == 1 {
			con.Recovery.Owner = constitution.EachMember
		}
		id := identityOf(t, con)
		id.Ends = now.AddDate(3, 0, 0)
		if said := strings.Join(warnings(id, nil, now), "\n"); strings.Contains(said, "RECOVERY OWNER: each of 3 members can open the whole ledger, and recover the network, alone") != warned {
			t.Errorf("with a threshold of %d: %q", threshold, said)
		}
	}
}
