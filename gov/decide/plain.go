package decide

import (
	"encoding/json"
)

// plainJSON replaces numbers by integers, as the language of policies knows them; those that are none become text.
func plainJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		return v.String()
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			out[name] = plainJSON(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plainJSON(e)
		}
		return out
	}
	return v
}
