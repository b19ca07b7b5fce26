package ethereum

import (
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// CheckSchedule implements adapter.Scheduled.
func (ethereum) CheckSchedule(old, next []byte, until time.Time) error {
	return settings.CheckSchedule(old, next, until)
}

var _ adapter.Scheduled = ethereum{}
