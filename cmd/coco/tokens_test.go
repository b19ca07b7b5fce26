package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cocoframework/coco/caller/callertest"
	"github.com/cocoframework/coco/caller/message"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/succession"
	"github.com/cocoframework/coco/wire"
)

// issuers are those that scripts have started, by the scripts' folders.
var issuers sync.Map

// issuer AUDIENCE...: starts an OpenID Connect issuer, sets ISSUER to its URL and writes issuer.pem, by which its host is checked.
func issuer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: issuer AUDIENCE...")
	}
	is, err := callertest.Start(args...)
	ts.Check(err)
	ts.Defer(is.Stop)
	issuers.Store(ts.Getenv("WORK"), is)
	_, err = is.WriteRoot(ts.MkAbs("."))
	ts.Check(err)
	ts.Setenv("ISSUER", is.URL)
}

func issuerOf(ts *testscript.TestScript) *callertest.Issuer {
	is, ok := issuers.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no issuer was started")
	}
	return is.(*callertest.Issuer)
}

// login FILE USER AUDIENCE: has a user log in at the issuer, and writes the ID token as the header of a request.
func login(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: login FILE USER AUDIENCE")
	}
	text, err := issuerOf(ts).Login(context.Background(), args[1], args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("Authorization: Bearer "+text), 0o600))
}

// issues FILE [CLAIM=JSON]...: has the issuer sign claims of a token for kim that ends in an hour, changed as said, and writes it like login.
func issues(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: issues FILE [CLAIM=JSON]...")
	}
	is := issuerOf(ts)
	claims := map[string]any{"iss": is.URL, "aud": "coco", "sub": "kim", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for _, change := range args[1:] {
		name, text, _ := strings.Cut(change, "=")
		var value any
		ts.Check(json.Unmarshal([]byte(text), &value))
		claims[name] = value
	}
	text, err := is.Sign(claims, nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("Authorization: Bearer "+text), 0o600))
}

// rotates: has the issuer replace its signing key.
func rotates(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: rotates")
	}
	ts.Check(issuerOf(ts).Rotate())
}

// signs FILE METHOD TARGET BODY MEMBER ADDRESS: signs a request for the node at an address with a member's user certificate of the sandbox net, and
// writes it like login.
func signs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 6 {
		ts.Fatalf("usage: signs FILE METHOD TARGET BODY MEMBER ADDRESS [HEADER: VALUE]...")
	}
	member := ts.MkAbs("net/members/" + args[4])
	user, err := signer.Load(member+"/user.pem", member+"/user-key.pem")
	ts.Check(err)
	service, err := network.ReadService(ts.MkAbs("net/service.pem"))
	ts.Check(err)
	id, err := succession.ID(service)
	ts.Check(err)
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	reply, err := plain.Get("https://" + args[5] + "/node/status")
	ts.Check(err)
	defer func() { _ = reply.Body.Close() }()
	var status wire.Status
	ts.Check(json.NewDecoder(reply.Body).Decode(&status))
	header := http.Header{}
	for _, line := range args[6:] {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	m := message.New(args[1], args[2], header, []byte(args[3]), id, status.Node, time.Now())
	text, err := m.Sign(context.Background(), user)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("Authorization: "+text), 0o600))
}
