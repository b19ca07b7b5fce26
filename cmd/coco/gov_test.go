package main

import (
	"context"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// ends PROPOSAL STATE DIR MEMBER: waits until a proposal is in a state.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ends PROPOSAL STATE DIR MEMBER")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := &governing{dir: ts.MkAbs(args[2]), as: args[3]}
	o, err := f.connect(ctx)
	ts.Check(err)
	defer o.Close()
	state := ""
	for ctx.Err() == nil {
		p, err := o.Proposal(ctx, args[0])
		ts.Check(err)
		if state = p.State; state == args[1] {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("proposal %s is %s, want %s", args[0], state, args[1])
}
