package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/cocoframework/coco/internal/expr"
)

var (
	proposalType = expr.NewType("proposal",
		expr.Field{Name: "id", Type: types.StringType}, expr.Field{Name: "proposer", Type: types.StringType},
		expr.Field{Name: "kinds", Type: types.NewListType(types.StringType)},
		expr.Field{Name: "actions", Type: types.NewListType(types.NewMapType(types.StringType, types.DynType))},
		expr.Field{Name: "time", Type: types.IntType}, expr.Field{Name: "expires", Type: types.IntType})
	voteType = expr.NewType("vote",
		expr.Field{Name: "member", Type: types.StringType}, expr.Field{Name: "vote", Type: types.StringType}, expr.Field{Name: "weight", Type: types.IntType})
	votesType = expr.NewType("votes",
		expr.Field{Name: "yes", Type: types.IntType}, expr.Field{Name: "no", Type: types.IntType}, expr.Field{Name: "by", Type: types.NewListType(voteType.CEL)},
		expr.Field{Name: "yes_weight", Type: types.IntType}, expr.Field{Name: "no_weight", Type: types.IntType}, expr.Field{Name: "total_weight", Type: types.IntType})
	memberType = expr.NewType("member",
		expr.Field{Name: "id", Type: types.StringType}, expr.Field{Name: "name", Type: types.StringType}, expr.Field{Name: "weight", Type: types.IntType})
	nodeType = expr.NewType("node",
		expr.Field{Name: "owner", Type: types.StringType}, expr.Field{Name: "owner_name", Type: types.StringType}, expr.Field{Name: "address", Type: types.StringType},
		expr.Field{Name: "measurement", Type: types.StringType}, expr.Field{Name: "platform", Type: types.StringType})

	recordTypes = []*expr.RecordType{proposalType, voteType, votesType, memberType, nodeType}
)

// language is what every policy is compiled in.
var language = &expr.Language{
	Records: recordTypes,
	Variables: []cel.EnvOption{
		cel.Variable("proposal", proposalType.CEL),
		cel.Variable("votes", votesType.CEL),
		cel.Variable("members", types.NewListType(memberType.CEL)),
		cel.Variable("node", nodeType.CEL),
		cel.Variable("constitution", types.NewMapType(types.StringType, types.DynType)),
		cel.Variable("now", types.IntType),
		cel.Variable("closed", types.BoolType),
	},
	Example: Majority, Means: "true if the proposal is accepted",
}
