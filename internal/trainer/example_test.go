//go:build unix

package trainer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/efficientnas/nas/internal/trainer"
)

func Example() {
	c := &trainer.Command{
		Args:    []string{"sh", "-c", `echo '{"epoch":1,"accuracy":0.5}'; echo '{"accuracy":0.75,"loss":1.25}'`},
		Timeout: time.Minute,
	}
	if err := c.Check(); err != nil {
		fmt.Println(err)
		return
	}
	request := trainer.Request{Key: "n1", Architecture: []byte(`{"name":"small"}`), Seed: 1, Attempt: 1}
	result, err := c.Run(context.Background(), request, func(p trainer.Progress) bool {
		fmt.Printf("epoch %d: %v\n", p.Epoch, p.Accuracy)
		return false // go on
	})
	if err != nil {
		fmt.Println(err) // errors.As tells a Failure from a ConfigError
		return
	}
	fmt.Println(result.Accuracy, result.Metrics)
	// Output:
	// epoch 1: 0.5
	// 0.75 map[loss:1.25]
}
