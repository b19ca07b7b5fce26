package govtest

import (
	"github.com/cocoframework/coco/gov/action"
)

// Act returns an action.
func Act(kind action.Kind, args action.Args) action.Action {
	return action.Action{Kind: kind, Args: args}
}
