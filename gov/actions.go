package gov

import "github.com/cocoframework/coco/gov/action"

// ParseActions reads a file of actions in TOML; see action.Parse.
func ParseActions(text []byte) ([]action.Action, error) { return action.Parse(text) }
