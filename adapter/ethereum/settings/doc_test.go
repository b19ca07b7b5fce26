package settings

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/json-rpc.md says right what the defaults of the limits are; docs/tables.md has all settings.
func TestTheDocumentSaysTheDefaults(t *testing.T) {
	file, err := os.ReadFile("../../../docs/json-rpc.md")
	must(t, err)
	page := string(file)
	r := defaultRPC
	for _, f := range r.fields() {
		// The row or cell that begins with the name, without thousands' separators.
		row := regexp.MustCompile("`" + f.name + "`[^\n]*").FindString(strings.ReplaceAll(page, ",", ""))
		if mib := f.standard >> 20; mib<<20 == f.standard && strings.Contains(row, fmt.Sprintf("%d MiB", mib)) {
			continue
		}
		if !regexp.MustCompile(fmt.Sprintf(`\b%d\b`, f.standard)).MatchString(row) {
			t.Errorf("docs/json-rpc.md says of %s %q; the default is %d", f.name, row, f.standard)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("`max_tx_bytes` (%d KiB)", defaultMaxTxBytes>>10),
		fmt.Sprintf("`gap_wait_ms` (%.0f s)", defaultGapWait.Seconds()),
		fmt.Sprintf("`gap_per_sender` (%d)", defaultGapPerSender),
		fmt.Sprintf("`gap_total` (%d) and `gap_bytes` (%d MiB)", defaultGapTotal, defaultGapBytes>>20),
		fmt.Sprintf("`gas_limit` (%d million), a call `call_gas_limit` (%d million)", defaultGasLimit/1_000_000, defaultCallGasLimit/1_000_000),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/json-rpc.md does not say %q", want)
		}
	}
}
