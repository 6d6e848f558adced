package tabular

import (
	"math"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
)

// A format is how a benchmark writes its table.
type format struct {
	name, dataset string
	columns       []string // those that are read, first the one that names the network
	macs          string   // the column of the MACs; that of the parameters is "params"
	// decoder returns how a line becomes a row. It fails if the plan has not
	// the choices that the table speaks of.
	decoder func(plan *arch.Plan) (decoder, error)
}

// A decoder reads all of a row but its costs. Its mistakes stay in r.
type decoder func(r *reader, row *Row)

var formats = []format{
	{
		name: "accel_nasbench", dataset: "imagenet", macs: "macs224",
		columns: []string{"id", "split", "e", "k", "l", "se", "top1", "params", "macs224"},
		decoder: accel,
	},
	{
		name: "nas_bench_macro", dataset: "cifar10", macs: "macs",
		columns: []string{"arch", "real_arch", "acc1", "acc2", "acc3", "mean_acc", "params", "macs"},
		decoder: macro,
	},
}

// macro returns the decoder of NAS-Bench-Macro: the option of the block of every
// stage, in one column.
func macro(plan *arch.Plan) (decoder, error) {
	for i, s := range plan.Slots {
		if slot := blockSlot(plan, s.Stage); slot != i {
			return nil, plan.At(i).Errorf("nas_bench_macro does not tell the option of %s", s.Path)
		}
	}
	for stage := range plan.Stages() {
		if blockSlot(plan, stage) < 0 {
			return nil, plan.Pos(stage).Errorf("nas_bench_macro chooses the block of every stage; stages.%d has no choice", stage)
		}
	}
	active := make([]bool, len(plan.Slots))
	return func(r *reader, row *Row) {
		for stage, digit := range r.digits("arch", plan.Stages()) {
			slot, types := plan.TypeSlot(stage)
			option := int(digit - '0')
			if option >= types {
				r.fail("arch", "stages.%d: block %d is not in the space, which has 0 to %d there", stage, option, types-1)
				return
			}
			row.Genes[slot] = uint16(option)
		}
		if r.err != nil {
			return
		}
		plan.Canonical(row.Genes, active)
		plan.Build(row.Genes, row.Network)
		key := make([]byte, plan.Stages())
		for stage := range key {
			key[stage] = '0' + byte(row.Genes[blockSlot(plan, stage)])
		}
		if row.Key = string(key); row.Key != r.text("real_arch") {
			r.fail("real_arch", "the network of %s is %s, found %q", r.text("arch"), row.Key, r.text("real_arch"))
		}
		mean := 0.
		for _, column := range []string{"acc1", "acc2", "acc3"} {
			a := r.accuracy(column)
			row.Measured = append(row.Measured, a)
			mean += a / 3
		}
		// The table's own mean, so that results compare with those of others.
		row.Accuracy = r.accuracy("mean_acc")
		const rounding = 1e-6
		if math.Abs(row.Accuracy-mean) > rounding {
			r.fail("mean_acc", "the mean of acc1, acc2 and acc3 is %.4f, found %s", 100*mean, r.text("mean_acc"))
		}
	}, nil
}

// blockSlot returns the slot of the block of a stage, or -1.
func blockSlot(plan *arch.Plan, stage int) int {
	if stage < 0 {
		return -1
	}
	slot, _ := plan.TypeSlot(stage)
	return slot
}

// accelColumns are the columns of Accel-NASBench, and what they tell of a stage.
var accelColumns = []struct{ column, key string }{{"l", "depth"}, {"e", "expansion"}, {"k", "kernel"}, {"se", "se"}}

// accelSE is the squeeze-and-excitation that the digit 1 stands for.
const accelSE = 0.25

// accel returns the decoder of Accel-NASBench: expansion, kernel, depth and
// squeeze-and-excitation of every stage, in a column each.
func accel(plan *arch.Plan) (decoder, error) {
	columns := make([]int, len(plan.Slots)) // of the slots, in accelColumns
	for i, s := range plan.Slots {
		key := s.Path[strings.LastIndexByte(s.Path, '.')+1:]
		columns[i] = slices.IndexFunc(accelColumns, func(c struct{ column, key string }) bool { return c.key == key })
		if s.Stage < 0 || columns[i] < 0 {
			return nil, plan.At(i).Errorf("accel_nasbench does not tell the option of %s", s.Path)
		}
	}
	active := make([]bool, len(plan.Slots))
	return func(r *reader, row *Row) {
		values := make([][]float64, len(accelColumns))
		for c, at := range accelColumns {
			for _, digit := range r.digits(at.column, plan.Stages()) {
				v := float64(digit - '0')
				if at.column == "se" {
					if v > 1 {
						r.fail("se", "squeeze-and-excitation is 0 or 1, found %v", v)
					}
					v *= accelSE
				}
				values[c] = append(values[c], v)
			}
		}
		if r.err != nil {
			return
		}
		for i, s := range plan.Slots {
			at, want := accelColumns[columns[i]], values[columns[i]][s.Stage]
			option := slices.IndexFunc(s.Options, func(o arch.Scalar) bool {
				v, ok := o.Number()
				return ok && v == want
			})
			if option < 0 {
				r.fail(at.column, "%s = %v is not in the space, which has %v", s.Path, want, s.Options)
				return
			}
			row.Genes[i] = uint16(option)
		}
		plan.Build(row.Genes, row.Network)
		r.checkStages(row.Network, values)
		plan.Canonical(row.Genes, active)
		plan.Build(row.Genes, row.Network)

		if row.Key = r.text("id"); row.Key == "" {
			r.fail("id", "the id is missing")
		}
		if row.Split = r.text("split"); row.Split != "train" && row.Split != "val" {
			r.fail("split", "the split is train or val, found %q", row.Split)
		}
		row.Accuracy = r.accuracy("top1")
		row.Measured = []float64{row.Accuracy}
	}, nil
}

// checkStages checks that what the space does not leave open is what the table
// says; values are those of accelColumns, for every stage.
func (r *reader) checkStages(n *arch.Network, values [][]float64) {
	for c, at := range accelColumns {
		for i := range n.Stages {
			s, want := &n.Stages[i], values[c][i]
			if at.key == "depth" {
				if s.Depth != int(want) {
					r.fail(at.column, "stages.%d.depth = %v is not in the space, which has %d", i, want, s.Depth)
				}
				continue
			}
			for block := range s.Depth {
				if v, ok := s.Param(block, at.key); !ok || v != want {
					r.fail(at.column, "stages.%d.%s = %v is not in the space", i, at.key, want)
				}
			}
		}
	}
}
