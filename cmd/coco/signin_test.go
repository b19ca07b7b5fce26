package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/adapter/ethereum/siwe"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/succession"
)

// signin NAME ORIGIN SESSION SCOPE...: draws a token as a page of the origin does, and has the account of account.key sign in with it to the network of
// the sandbox net. It writes NAME.sign and NAME.token, the two headers of requests, each with the origin.
func signin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: signin NAME ORIGIN SESSION SCOPE...")
	}
	name, origin := args[0], args[1]
	service, err := network.ReadService(ts.MkAbs("net/service.pem"))
	ts.Check(err)
	id, err := succession.ID(service)
	ts.Check(err)
	key, err := crypto.ToECDSA(hexutil.MustDecode(strings.TrimSpace(ts.ReadFile("account.key"))))
	ts.Check(err)
	chain := regexp.MustCompile(`chain_id = (\d+)`).FindStringSubmatch(ts.ReadFile("net/constitution.toml"))
	token := make([]byte, 32)
	_, _ = rand.Read(token)
	nonce := sha256.Sum256(token)
	now := time.Now().UTC()
	_, host, _ := strings.Cut(origin, "://")
	m := &siwe.Message{
		Domain: host, Address: crypto.PubkeyToAddress(key.PublicKey), URI: origin, ChainID: chain[1], Nonce: hex.EncodeToString(nonce[:]),
		IssuedAt: now.Format(time.RFC3339), Expires: now.Add(time.Hour).Format(time.RFC3339),
		Resources: []string{"urn:coco:network:" + id.String(), "urn:coco:session:" + args[2]},
	}
	for _, may := range args[3:] {
		m.Resources = append(m.Resources, "urn:coco:scope:"+may)
	}
	sig, err := crypto.Sign(siwe.Hash(m.Text()).Bytes(), key)
	ts.Check(err)
	sig[64] += 27
	for suffix, credential := range map[string]string{".sign": sessions.Credential(m.Text(), sig), ".token": hex.EncodeToString(token)} {
		header := "Authorization: Coco-Session " + credential + "\nOrigin: " + origin + "\nContent-Type: application/json"
		ts.Check(os.WriteFile(ts.MkAbs(name+suffix), []byte(header), 0o600))
	}
}
