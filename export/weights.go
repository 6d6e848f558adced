package export

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"

	"github.com/efficientnas/nas/arch"
)

// initialization says in words what [tensors] does.
const initialization = "weights are normal with mean 0 and variance 2/fan-in (He et al. 2015, Delving Deep into Rectifiers), " +
	"those of the last layer with a standard deviation of 0.01; biases are 0; " +
	"batch normalisations have weight and running variance 1, bias and running mean 0"

// A tensor is one of the weights or statistics of a network, named as in a
// state_dict of PyTorch.
type tensor struct {
	name string
	dims []int64
	std  float64 // of the normal distribution its values are drawn from; 0: all are value
	// value is that of every element where there is no distribution.
	value float32
}

// tensors returns the weights and statistics of the layers, in their order, with
// the values of an untrained network.
func tensors(g *arch.Graph) []tensor {
	var ts []tensor
	last := -1 // weight of the layer that gives the scores
	for i := range g.Layers {
		l := &g.Layers[i]
		name, out := l.Name(), int64(l.Out.C)
		switch l.Op {
		case arch.OpConv, arch.OpLinear:
			dims := []int64{out, int64(l.In.C)}
			if l.Op == arch.OpConv {
				dims = []int64{out, int64(l.In.C / l.Groups), int64(l.KernelH), int64(l.KernelW)}
			}
			t := tensor{name: name + ".weight", dims: dims}
			t.std = math.Sqrt(2 * float64(out) / float64(t.elements()))
			last = len(ts)
			ts = append(ts, t)
			if l.Bias {
				ts = append(ts, tensor{name: name + ".bias", dims: dims[:1]})
			}
		case arch.OpBatchNorm:
			dims := []int64{out}
			ts = append(ts,
				tensor{name: name + ".weight", dims: dims, value: 1},
				tensor{name: name + ".bias", dims: dims},
				tensor{name: name + ".running_mean", dims: dims},
				tensor{name: name + ".running_var", dims: dims, value: 1})
		}
	}
	if last >= 0 {
		ts[last].std = 0.01 // all classes are nearly as likely
	}
	return ts
}

func (t *tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.dims {
		n *= d
	}
	return n
}

// write writes the values as 32-bit floats, little-endian. They depend on the
// seed and the tensor's name only, not on what else is in the network.
func (t *tensor) write(w io.Writer, seed uint64) error {
	key := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), t.name...))
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
	var chunk [1 << 14]byte
	for left := t.elements(); left > 0; {
		n := min(left, int64(len(chunk)/4))
		for i := range n {
			v := t.value
			if t.std > 0 {
				v = float32(t.std * rng.NormFloat64())
			}
			binary.LittleEndian.PutUint32(chunk[4*i:], math.Float32bits(v))
		}
		if _, err := w.Write(chunk[:4*n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
