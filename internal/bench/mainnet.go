package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
	"github.com/cocoframework/coco/internal/bench/mainnet"
)

// MainnetOptions says what to replay.
type MainnetOptions struct {
	Dir     string        // of the block files
	Batch   int           // transactions a request; 100
	Timeout time.Duration // patience for one request with its retries; 30 s
}

// Start starts a network whose Ethereum adapter has block.Settings(), and returns the clients' ways
// into it, one for each node. stop ends it.
type Start func(ctx context.Context, block *mainnet.Block) (targets []link.Target, stop func() error, err error)

// MainnetReport is a replay's result.
type MainnetReport struct {
	Blocks       int     `json:"blocks"`
	Transactions int     `json:"transactions"`
	Mismatches   int     `json:"mismatches"` // between networks and headers; 0 if all is well
	TPS          float64 `json:"tps"`        // committed on all nodes
	Latency      Latency `json:"latency_ms"` // of a transaction, from sending its batch until every node has it

	Results []BlockResult `json:"-"`
}

// BlockResult is one block's result.
type BlockResult struct {
	Number       uint64
	Transactions int
	Elapsed      time.Duration // from the first batch until every node had the last
	Mismatches   []string      // one line for each difference
}

// Mainnet replays blocks of Ethereum's mainnet: for each file a network is started, the original
// signed transactions are sent in their order, each batch through the next node, and what every
// node's receipts add up to is compared with the block's header.
//
// done, if not nil, is called with each block's result; progress is as for Run, with the phase
// "block N". The report is valid, and returned, also when the error wraps coco.ErrVerify: then
// there are mismatches.
func Mainnet(ctx context.Context, o MainnetOptions, start Start, progress func(Sample), done func(BlockResult)) (MainnetReport, error) {
	defaults(&o.Batch, 100)
	defaults(&o.Timeout, 30*time.Second)
	if o.Batch < 1 || o.Batch > MaxBatch || o.Timeout < 0 {
		return MainnetReport{}, fmt.Errorf("%w: bench: batches of %d: expected 1 to %d", coco.ErrInvalid, o.Batch, MaxBatch)
	}
	files, err := mainnet.Files(o.Dir)
	if err != nil {
		return MainnetReport{}, err
	}
	var report MainnetReport
	var hist histogram
	var elapsed time.Duration
	for _, file := range files {
		block, err := mainnet.Load(file)
		if err != nil {
			return report, err
		}
		p := &replay{MainnetOptions: o, meter: meter{progress: progress}, block: block, hist: &hist}
		result, err := p.run(ctx, start)
		if err != nil {
			return report, fmt.Errorf("block %d: %w", block.Number, err)
		}
		elapsed += result.Elapsed
		report.Blocks++
		report.Transactions += result.Transactions
		report.Mismatches += len(result.Mismatches)
		report.Results = append(report.Results, result)
		if done != nil {
			done(result)
		}
	}
	if elapsed > 0 {
		report.TPS = math.Round(10*float64(report.Transactions)/elapsed.Seconds()) / 10
	}
	report.Latency = hist.latency()
	if report.Mismatches > 0 {
		return report, fmt.Errorf("%w: %d mismatches with the headers of %d blocks", coco.ErrVerify, report.Mismatches, report.Blocks)
	}
	return report, nil
}

// replay is the replay of one block.
type replay struct {
	MainnetOptions
	meter
	block    *mainnet.Block
	hist     *histogram
	sessions []*session // by target
}

func (p *replay) run(ctx context.Context, start Start) (result BlockResult, err error) {
	result = BlockResult{Number: p.block.Number, Transactions: len(p.block.Transactions)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	targets, stop, err := start(ctx, p.block)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if len(targets) == 0 {
		return result, fmt.Errorf("%w: bench: the network was started without a target", coco.ErrInvalid)
	}
	for i := range targets {
		s := newSession(ctx, targets[i:i+1], 0, p.Timeout)
		defer s.close()
		if err := s.connect(); err != nil {
			return result, err
		}
		p.sessions = append(p.sessions, s)
	}
	var count counters
	err = p.during(fmt.Sprintf("block %d", p.block.Number), len(p.block.Transactions), &count, func() (err error) {
		result.Elapsed, result.Mismatches, err = p.submit(&count)
		return err
	})
	if err != nil || len(result.Mismatches) > 0 {
		return result, err
	}
	for i, s := range p.sessions {
		receipts, err := p.receipts(s, 0, len(p.block.Transactions))
		if err != nil {
			return result, fmt.Errorf("%s: %w", targets[i].Label(), err)
		}
		for _, d := range p.block.Compare(receipts) {
			result.Mismatches = append(result.Mismatches, targets[i].Label()+": "+d)
		}
	}
	return result, nil
}

// submit sends all transactions. Those that are refused are mismatches, and end the replay.
func (p *replay) submit(count *counters) (elapsed time.Duration, refused []string, err error) {
	raws, err := p.block.Raws()
	if err != nil {
		return 0, nil, err
	}
	begin := time.Now()
	var body []byte
	for turn, from := 0, 0; from < len(raws); turn++ {
		to := min(from+p.Batch, len(raws))
		s := p.sessions[turn%len(p.sessions)]
		body = appendSend(body[:0], raws[from:to])
		sent := time.Now()
		if refused, err = p.send(s, body, from, to); err != nil || len(refused) > 0 {
			return time.Since(begin), refused, err
		}
		if err := p.await(to - 1); err != nil {
			return 0, nil, err
		}
		p.hist.record(time.Since(sent), uint64(to-from))
		count.done.Store(uint64(to))
		count.committed.Store(uint64(to))
		from = to
	}
	return time.Since(begin), nil, nil
}

// send sends the transactions from up to, excluding, to, and returns what was refused.
func (p *replay) send(s *session, body []byte, from, to int) (refused []string, err error) {
	patience := s.patience()
	for {
		reply, err := s.send(&patience, func(l link.Link) ([]byte, error) { return l.Call(body) })
		if err != nil {
			return nil, err
		}
		if allSent(reply, to-from) {
			return nil, nil
		}
		answers, err := parseAnswers(reply, to-from)
		if err != nil {
			return nil, err
		}
		refusal := firstRefusal(answers)
		if refusal == nil {
			return nil, nil
		}
		if refusal.Code == codeBusy && patience.pause() {
			continue // what is executed already is not executed again
		}
		receipts, err := p.receipts(s, from, to)
		if err != nil {
			return nil, err
		}
		for i, a := range answers {
			if a.Error != nil && receipts[i] == nil {
				refused = append(refused, fmt.Sprintf("transaction %d (%v): refused: %v", from+i, p.block.Transactions[from+i].Hash(), a.Error))
			}
		}
		return refused, nil
	}
}

// await returns once every node has the receipt of transaction i, and so of all before it.
func (p *replay) await(i int) error {
	for _, s := range p.sessions {
		for patience := s.patience(); ; {
			receipts, err := p.receipts(s, i, i+1)
			if err != nil {
				return err
			}
			if receipts[0] != nil {
				break
			}
			if !patience.pause() {
				return fmt.Errorf("%w: transaction %d is committed, but %s does not have it after %v", coco.ErrNotCommitted, i, s.targets[0].Label(), s.timeout)
			}
		}
	}
	return nil
}

// receipts asks for those of the transactions from up to, excluding, to; nil where there is none.
func (p *replay) receipts(s *session, from, to int) ([]*mainnet.Receipt, error) {
	queries := make([]query, to-from)
	for i := range queries {
		queries[i] = query{"eth_getTransactionReceipt", []any{p.block.Transactions[from+i].Hash()}}
	}
	receipts := make([]*mainnet.Receipt, len(queries))
	err := s.ask(queries, func(i int, a answer) error { return a.decode(&receipts[i]) })
	return receipts, err
}
