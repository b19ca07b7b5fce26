package benchcmd

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
	"github.com/cocoframework/coco/internal/localnet"
)

// epochOf returns what reads the number of a network's epoch from the metrics of its first node.
func epochOf(info localnet.Info) (func(context.Context) (uint64, error), error) {
	to, err := targets(info, false, false)
	if err != nil || len(to) == 0 {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) { return readEpoch(ctx, to[0]) }, nil
}

func readEpoch(ctx context.Context, node link.Target) (uint64, error) {
	transport := &http.Transport{TLSClientConfig: node.TLS}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node.URL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, fmt.Errorf("%w: metrics of node %s: %w", coco.ErrUnreachable, node.Name, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "coco_epoch "); ok {
			epoch, err := strconv.ParseFloat(value, 64)
			if err == nil {
				return uint64(epoch), nil
			}
		}
	}
	return 0, fmt.Errorf("%w: metrics of node %s: expected the line coco_epoch, found none in an answer with status %d", coco.ErrNotFound, node.Name, resp.StatusCode)
}
