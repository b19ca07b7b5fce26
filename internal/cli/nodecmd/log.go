package nodecmd

import (
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/cocoframework/coco/internal/logfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/visible"
)

// standardError is the name of a log that goes to the standard error, for journald and containers.
const standardError = "-"

// nodeLog is the log of a node's process.
type nodeLog struct {
	*slog.Logger
	level *slog.LevelVar
	file  *logfile.File // nil unless it goes to a file
}

// openLog opens the log that a name says: a file, the standard error, or "" for the one in the node's folder. A standard error that goes
// to the latter, as a supervisor starts nodes, is kept within the same bounds.
func (a *app) openLog(name string, cfg nodeconfig.Config) (*nodeLog, error) {
	own := nodeconfig.Dir(cfg.Dir).Log()
	if name == "" || name == standardError && logfile.IsStandardError(own) {
		name = own
	}
	if name == standardError {
		return newLog(a.Err.W, cfg), nil
	}
	file, err := logfile.Open(name, bounds(cfg))
	if err != nil {
		return nil, err
	}
	l := newLog(file, cfg)
	l.file = file
	return l, nil
}

func newLog(w io.Writer, cfg nodeconfig.Config) *nodeLog {
	level := new(slog.LevelVar)
	level.Set(nodeconfig.LogLevels[cfg.LogLevel]) // that of "" is info
	return &nodeLog{slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: visible.Attr})).With("name", cfg.Name), level, nil}
}

func bounds(cfg nodeconfig.Config) logfile.Bounds {
	return logfile.Bounds{Bytes: cfg.LogBytes, Files: cfg.LogFiles}
}

func (l *nodeLog) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// reloads reloads with each signal, until the function that it returns is called. The settings are those of a node.toml.
func (l *nodeLog) reloads(signals <-chan os.Signal, settings string) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-signals:
				l.reload(settings)
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// reload goes on in the file that has the log's name now, with the settings of the log as they are in node.toml now. What
// cannot be read or opened leaves what is there.
func (l *nodeLog) reload(settings string) {
	if l.file != nil {
		if err := l.file.Reopen(); err != nil {
			l.Error("the log cannot be opened anew: it goes on in the file that is open", "error", err)
		}
	}
	cfg, err := nodeconfig.Load(settings)
	if err != nil {
		l.Error("the settings of the log cannot be read: they stay as they are", "error", err)
		return
	}
	if l.file != nil {
		l.file.Bound(bounds(cfg))
	}
	if cfg.LogLevel != "" { // else it stays what the owner has set at the administrative listener
		l.level.Set(nodeconfig.LogLevels[cfg.LogLevel])
	}
	l.Info("the log was opened anew, with the settings of node.toml", "level", l.level.Level().String())
}
