package kvcmd

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/wire"
)

// valueLine is a value for programs.
type valueLine struct {
	Key         string     `json:"key"`
	TxID        *coco.TxID `json:"transaction_id,omitempty"` // that wrote the value, where it is known
	Version     uint64     `json:"etag,string"`
	ContentType string     `json:"content_type,omitempty"`
	Value       []byte     `json:"value"`
	Text        string     `json:"value_text,omitempty"`
	Salt        string     `json:"salt,omitempty"` // of a resident row's commitment, in hexadecimal
	*proofLine
}

// proofLine is what a receipt proves of a value.
type proofLine struct {
	By      string          `json:"by"` // the organisation, by its name or, if it has been removed, its id
	User    string          `json:"user,omitempty"`
	AsOf    coco.TxID       `json:"as_of"`
	Receipt json.RawMessage `json:"receipt"`
}

func (a *app) get() *cobra.Command {
	var f flags
	var at uint64
	var proof bool
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Long: `Prints the value of a key, byte for byte; what a terminal cannot show is written out there.

With --proof nothing is printed that the value's receipt does not prove: that a transaction which the network has committed put this value under
this key, for this audience. A third party verifies it again with the line that -o json prints and the service certificate. It does not prove that the value is the
newest: that, and as_of in the line, is the node's word.`,
		Example: `  coco kv get greeting
  coco kv get greeting --at 17
  coco kv get price --audience acme,bank --proof
  coco kv get price --node 10.0.0.1:8000 --service service.pem --cert user.pem --key file:user-key.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if proof && at != 0 {
				return fmt.Errorf("%w: expected --at or --proof, found both", coco.ErrInvalid)
			}
			if proof && f.resident {
				return fmt.Errorf("%w: --proof: a receipt proves the commitment of such a row, and not its value: `coco receipt verify --salt` proves that, by the salt that -o json prints", coco.ErrInvalid)
			}
			kv, c, err := a.connect(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			line := valueLine{Key: args[0]}
			if proof {
				err = line.prove(cmd.Context(), c, &f)
			} else {
				err = line.read(cmd.Context(), kv, at)
			}
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(&line)
			}
			if proof {
				a.Err.OK("a receipt proves that %s put this value in transaction %s", line.whose(), line.TxID)
			}
			return a.Out.Page(line.Value)
		},
	}
	cmd.Flags().Uint64Var(&at, "at", 0, "as of this `seqno`, a number of a transaction (default: the newest)")
	cmd.Flags().BoolVar(&proof, "proof", false, "verify the value's receipt, and print nothing that it does not prove")
	a.add(cmd, &f)
	return cmd
}

func (line *valueLine) whose() string {
	if line.User == "" {
		return line.By
	}
	return fmt.Sprintf("the user %q of %s", line.User, line.By)
}

func (line *valueLine) set(v client.Value) {
	line.Version, line.ContentType, line.Value, line.Text = v.Version, v.ContentType, v.Value, text(v.Value)
	line.Salt = hex.EncodeToString(v.Salt)
}

func (line *valueLine) read(ctx context.Context, kv client.KV, at uint64) error {
	if at == 0 {
		v, err := kv.Get(ctx, line.Key)
		line.set(v)
		return err
	}
	v, err := patiently(ctx, func() (client.Value, error) { return kv.GetAt(ctx, line.Key, at) })
	if line.set(v); v.TxID != (coco.TxID{}) {
		line.TxID = &v.TxID
	}
	return err
}

// prove reads the value with its receipt, and verifies it.
func (line *valueLine) prove(ctx context.Context, c *client.Client, f *flags) error {
	service, err := f.ServiceCertificate("value")
	if err != nil {
		return err
	}
	con, err := organisations(ctx, c)
	if err != nil {
		return err
	}
	audience, err := ids(con, f.audience)
	if err != nil {
		return err
	}
	v, err := patiently(ctx, func() (client.Verified, error) { return c.VerifiableGet(ctx, service, line.Key, audience...) })
	if err != nil {
		return err
	}
	line.set(client.Value{Version: v.TxID.Seqno, ContentType: cmp.Or(v.ContentType, wire.MediaBytes), Value: v.Value})
	line.TxID, line.proofLine = &v.TxID, &proofLine{By: nameOf(con, v.Actor), User: v.User, AsOf: v.AsOf, Receipt: v.Receipt}
	return nil
}

// ids are the organisations of an audience, as a receipt names them.
func ids(con *constitution.Constitution, names []string) (all []coco.ActorID, err error) {
	for _, name := range names {
		actor, ok := coco.ActorID{}, false
		if id, err := hex.DecodeString(name); err == nil && len(id) == len(actor) {
			actor, ok = coco.ActorID(id), true
		} else {
			actor, ok = con.Actor(name)
		}
		if !ok {
			return nil, fmt.Errorf("%w: --audience: the constitution has no organisation %q", coco.ErrInvalid, name)
		}
		all = append(all, actor)
	}
	return all, nil
}

// nameOf names an organisation: by its id, if the constitution does not list it any more.
func nameOf(con *constitution.Constitution, id coco.ActorID) string {
	for _, actor := range con.Certificates() {
		if actor.Actor == id {
			return actor.Name
		}
	}
	return id.String()
}

// patience is how long a node may take to index what it has just committed.
const patience = 5 * time.Second

// patiently asks again while the node says that it prepares the answer.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		v, err := ask()
		if !errors.Is(err, coco.ErrPending) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// rowLine is a row of a list for programs.
type rowLine struct {
	Key         string  `json:"key"`
	KeyBase64   []byte  `json:"key_base64,omitempty"` // instead of key, if that is no printable text
	Version     uint64  `json:"etag,string"`
	ContentType string  `json:"content_type,omitempty"`
	Value       *[]byte `json:"value,omitempty"`
	Text        string  `json:"value_text,omitempty"`
}

func (a *app) list() *cobra.Command {
	var f flags
	var r client.Range
	var most int
	cmd := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List keys and their values, all or those that begin with a prefix",
		Long: `Lists keys with their versions and values in the order of their bytes, all or those that begin with PREFIX. Rows that the caller may not
see are not in it.`,
		Example: "  coco kv list\n  coco kv list order- --keys\n  coco kv list --audience acme,bank -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.Prefix = args[0]
			}
			if most < 0 {
				return fmt.Errorf("%w: --limit: expected a number of rows from 1 on, found %d", coco.ErrInvalid, most)
			}
			kv, c, err := a.connect(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			return a.rows(cmd.Context(), kv, r, most)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&r.From, "from", "", "begin with this `key`")
	fl.IntVar(&most, "limit", 0, "at most this `number` of rows (default: all)")
	fl.BoolVar(&r.Keys, "keys", false, "without values")
	fl.Uint64Var(&r.At, "at", 0, "as of this `seqno`, which must be the end of a batch that the node remembers (default: the newest)")
	a.add(cmd, &f)
	return cmd
}

// rows prints a range, page by page.
func (a *app) rows(ctx context.Context, kv client.KV, r client.Range, most int) error {
	const perPage = 1000
	r.Limit = perPage
	if most > 0 {
		r.Limit = min(perPage, most)
	}
	left := most
	for page, err := kv.List(ctx, r); ; page, err = kv.More(ctx, page) {
		if err != nil {
			return err
		}
		items := page.Items
		if most > 0 && len(items) > left {
			items = items[:left]
		}
		if err := a.page(items, r.Keys); err != nil {
			return err
		}
		left -= len(items)
		switch {
		case most > 0 && left == 0:
			if len(items) < len(page.Items) {
				a.Err.Printf("there are more: --from %s\n", page.Items[len(items)].Key)
			} else if page.Next != "" {
				a.Err.Printf("there are more: --from %s\n", page.NextKey())
			}
			return nil
		case page.Next == "":
			return nil
		}
	}
}

// page prints rows.
func (a *app) page(items []wire.Row, keys bool) error {
	table := [][]string{{"KEY", "VERSION", "TYPE", "VALUE"}}
	if keys {
		table[0] = table[0][:3]
	}
	for _, row := range items {
		if a.WantsJSON() {
			line := rowLine{Key: row.Text, Version: row.Version, ContentType: row.Media, Value: row.Value}
			if row.Text == "" {
				line.KeyBase64 = row.Key
			}
			if row.Value != nil {
				line.Text = text(*row.Value)
			}
			if err := a.Out.JSON(&line); err != nil {
				return err
			}
			continue
		}
		cells := []string{string(row.Key), strconv.FormatUint(row.Version, 10), cmp.Or(row.Media, wire.MediaBytes)}
		if row.Value != nil {
			cells = append(cells, shown(*row.Value))
		}
		table = append(table, cells)
	}
	if !a.WantsJSON() && len(items) > 0 {
		a.Out.Table(table)
	}
	return nil
}

// versionLine is a version of a key for programs.
type versionLine struct {
	wire.RowVersion
	Text string `json:"value_text,omitempty"`
}

func (a *app) history() *cobra.Command {
	var f flags
	var most int
	cmd := &cobra.Command{
		Use:     "history KEY",
		Short:   "List what a key had, the newest first",
		Example: "  coco kv history greeting\n  coco kv history price --audience acme,bank -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 0 {
				return fmt.Errorf("%w: --limit: expected a number of versions from 1 on, found %d", coco.ErrInvalid, most)
			}
			kv, c, err := a.connect(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			return a.versions(cmd.Context(), kv, args[0], most)
		},
	}
	cmd.Flags().IntVar(&most, "limit", 0, "at most this `number` of versions (default: all)")
	a.add(cmd, &f)
	return cmd
}

// versions prints what a key had, page by page.
func (a *app) versions(ctx context.Context, kv client.KV, key string, most int) error {
	const perPage = 100
	left := most
	page, err := patiently(ctx, func() (wire.RowVersions, error) { return kv.History(ctx, key, perPage) })
	for ; ; page, err = patiently(ctx, func() (wire.RowVersions, error) { return kv.Earlier(ctx, page) }) {
		if err != nil {
			return err
		}
		table := [][]string{{"TRANSACTION", "TIME", "VALUE"}}
		items := page.Items
		if most > 0 {
			items = items[:min(left, len(items))]
			left -= len(items)
		}
		for _, v := range items {
			line := versionLine{RowVersion: v}
			cell := "(deleted)"
			if v.Value != nil {
				line.Text, cell = text(*v.Value), shown(*v.Value)
			}
			if a.WantsJSON() {
				if err := a.Out.JSON(&line); err != nil {
					return err
				}
			}
			table = append(table, []string{v.ID.String(), v.Time, cell})
		}
		if !a.WantsJSON() && len(items) > 0 {
			a.Out.Table(table)
		}
		if page.Next == "" || most > 0 && left == 0 {
			return nil
		}
	}
}
