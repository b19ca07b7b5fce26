package sandbox

import (
	"bytes"
	"html/template"

	"github.com/cocoframework/coco/internal/localnet"
)

// landing is what a person sees who opens a member's URL in a browser.
func landing(info localnet.Info, i int) []byte {
	var b bytes.Buffer
	err := landingPage.Execute(&b, struct {
		localnet.Info
		Here localnet.Node
	}{info, info.Nodes[i]})
	if err != nil {
		panic(err) // a template and values of this program
	}
	return b.Bytes()
}

var landingPage = template.Must(template.New("landing").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Coco: {{.Here.Member}}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #222; background: #fff }
code, pre { font: 14px/1.5 ui-monospace, monospace; background: #f3f3f3; padding: .1rem .3rem; border-radius: 3px; user-select: all }
pre { padding: .6rem .8rem; overflow-x: auto }
th { text-align: left; font-weight: 600; padding: .15rem 1.5rem .15rem 0; vertical-align: top }
.insecure { background: #b00020; color: #fff; padding: .6rem .8rem; border-radius: 3px }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b } code, pre { background: #2a2a2a } }
</style>
<h1>Coco network {{.Network}}</h1>
{{if .Insecure}}<p class="insecure"><b>INSECURE:</b> the TEE is simulated. Nothing here is confidential; for development and tests only.</p>{{end}}
<p>This is the loopback proxy of <b>{{.Here.Member}}</b>'s node {{.Here.Name}}. It has verified the node's evidence, and whatever reaches this URL acts as
{{.Here.Member}}'s user.</p>
<table>
<tr><th>JSON-RPC<td><code>{{.Here.HTTP}}</code>
<tr><th>WebSocket<td><code>{{.Here.WS}}</code>
<tr><th>Chain id<td><code>{{.ChainID}}</code>
<tr><th>Values by key<td><code>{{.Here.HTTP}}/app/kv/KEY</code>
<tr><th>Node<td><a href="/node/status">status</a>, <a href="/node/constitution">constitution</a>, <a href="/node/nodes">nodes</a>, <a href="/readyz?verbose">health</a>
</table>
<h2>Try it</h2>
<pre>curl -s {{.Here.HTTP}} -H 'Content-Type: application/json' \
     -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'</pre>
<pre>curl -i -X PUT {{.Here.HTTP}}/app/kv/greeting -H 'Content-Type: text/plain' -d hello</pre>
<p>In a wallet, add a network with the JSON-RPC URL and the chain id above. <code>coco up</code> printed funded accounts; in a terminal, <code>coco status</code> shows the
nodes and <code>coco demo</code> what the network can do.</p>
<h2>All members</h2>
<table>{{range .Nodes}}{{if not .Retired}}<tr><th>{{.Member}}<td><code>{{.HTTP}}</code>{{end}}
{{end}}</table>
</html>
`))
