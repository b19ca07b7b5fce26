package access

import (
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
)

func TestOriginsAreWrittenAsBrowsersWriteThem(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://app.example":        true,
		"https://app.example:8443":   true,
		"https://127.0.0.1:8443":     true,
		"https://[2001:db8::1]:8443": true,
		"http://localhost:3000":      true,
		"http://127.0.0.1":           true,
		"http://[::1]:3000":          true,
		"http://app.example":         false,
		"https://app.example:443":    false,
		"http://localhost:80":        false,
		"https://app.example/":       false,
		"https://app.example:":       false,
		"https://App.example":        false,
		"HTTPS://app.example":        false,
		"https://kim@app.example":    false,
		"https://*.example":          false,
		"https://app.example?":       false,
		"https://[2001:db8:0::1]":    false,
		"https://[fe80::1%25eth0]":   false,
		"https://":                   false,
		"https://appä.example":       false,
		"ws://app.example":           false,
		"null":                       false,
		"*":                          false,
		"":                           false,
	} {
		if err := CheckOrigin("origins", origin); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
	a := Access{}
	for i := range MaxOrigins + 1 {
		a.Origins = append(a.Origins, Origin{Name: fmt.Sprintf("https://app-%02d.example", i)})
	}
	if a.Check(func(coco.ActorID) bool { return true }) == nil {
		t.Error("more origins than there may be")
	}
	if a.Origins = []Origin{{Name: "https://a.example"}, {Name: "https://a.example", Since: 1}}; a.Check(func(coco.ActorID) bool { return true }) == nil {
		t.Error("an origin twice")
	}
}
