package cost

import "github.com/efficientnas/nas/arch"

// A MemoryPolicy says which operations write over their input instead of into
// memory of their own.
type MemoryPolicy int

// The policies, each sharing more than the one before. Flattening, slicing and
// dropout are free under all of them.
const (
	// AllocateAll gives every operation's output memory of its own, as a
	// framework does that keeps nothing in mind.
	AllocateAll MemoryPolicy = iota
	// FuseElementwise lets batch normalisation and activations write over
	// their input, a whole buffer, if nothing reads it later, as every inference
	// engine does.
	FuseElementwise
	// WriteInPlace also lets sums and products write over an operand of their
	// size that nothing reads later, and concatenation take such operands as
	// parts of its output if they are whole buffers.
	WriteInPlace
)

func (p MemoryPolicy) String() string { return [...]string{"all", "fused", "inplace"}[p] }

// Memory finds the live memory of lowered networks. The zero value is ready for
// use; used again and again it does not allocate.
type Memory struct {
	lastUse  []int   // by tensor: the layer that reads it last
	buffer   []int32 // by tensor: its buffer
	size     []int64 // by buffer: elements
	death    []int   // by buffer: the layer after which it is free
	released [][]int32
	live     []int64 // by layer: the elements that live while it runs
}

// Peak returns the greatest number of activation elements that live at once
// while the layers run in order, and the first layer at which they do. An
// operation needs its inputs and its output at the same time; a tensor lives
// until its last reader has run, the network's input included. Weights do not
// count.
func (m *Memory) Peak(g *arch.Graph, policy MemoryPolicy) (elements int64, layer int) {
	for i, live := range m.Live(g, policy) {
		if live > elements {
			elements, layer = live, i
		}
	}
	return elements, layer
}

// Live returns for every layer the activation elements that live while it runs,
// as defined at Peak. The slice is m's: the next call writes over it.
func (m *Memory) Live(g *arch.Graph, policy MemoryPolicy) []int64 {
	n := len(g.Layers)
	m.lastUse = grow(m.lastUse, n)
	m.buffer = grow(m.buffer, n)
	m.size, m.death = m.size[:0], m.death[:0]
	for i := range g.Layers {
		m.lastUse[i] = i
		for _, x := range g.Layers[i].Inputs {
			m.lastUse[x] = i
		}
	}
	// First which tensors share a buffer, then how long each buffer lives.
	for i := range g.Layers {
		b := m.share(g, i, policy)
		if b < 0 {
			b = int32(len(m.size))
			m.size = append(m.size, g.Layers[i].Out.Elements())
			m.death = append(m.death, i)
		}
		m.buffer[i] = b
		m.death[b] = max(m.death[b], m.lastUse[i])
	}
	m.released = grow(m.released, n)
	for i := range m.released {
		m.released[i] = m.released[i][:0]
	}
	for b, at := range m.death {
		m.released[at] = append(m.released[at], int32(b))
	}
	m.live = grow(m.live, n)
	var live int64
	born := int32(0)
	for i := range g.Layers {
		if policy == WriteInPlace && g.Layers[i].Op == arch.OpConcat {
			// The operands that become parts of the output are free first.
			for _, x := range g.Layers[i].Inputs {
				if b := m.buffer[x]; m.whole(g, x) && m.death[b] == i {
					live -= m.size[b]
					m.size[b] = 0
				}
			}
		}
		if b := m.buffer[i]; b == born {
			live += m.size[b]
			born++
		}
		m.live[i] = live
		for _, b := range m.released[i] {
			live -= m.size[b]
		}
	}
	return m.live
}

// share returns the buffer of an input that layer i's output can have, or -1.
func (m *Memory) share(g *arch.Graph, i int, policy MemoryPolicy) int32 {
	l := &g.Layers[i]
	switch l.Op {
	case arch.OpFlatten, arch.OpSlice, arch.OpDropout:
		return m.buffer[l.Inputs[0]]
	case arch.OpBatchNorm, arch.OpActivation:
		if policy >= FuseElementwise && m.free(g, l.Inputs[0], i) {
			return m.buffer[l.Inputs[0]]
		}
	case arch.OpAdd, arch.OpMul:
		if policy < WriteInPlace {
			break
		}
		for _, x := range l.Inputs {
			if g.Layers[x].Out == l.Out && m.free(g, x, i) {
				return m.buffer[x]
			}
		}
	}
	return -1
}

// free reports whether layer i can write over tensor x: it is a whole buffer
// (else writing over it would keep more than it needs), which nothing reads
// later, through another view either.
func (m *Memory) free(g *arch.Graph, x arch.Tensor, i int) bool {
	return m.death[m.buffer[x]] <= i && m.whole(g, x)
}

// whole reports whether tensor x is its whole buffer.
func (m *Memory) whole(g *arch.Graph, x arch.Tensor) bool {
	return g.Layers[x].Out.Elements() == m.size[m.buffer[x]]
}

// LargestLayer returns the most elements that one convolution or linear layer
// reads and writes, its input and output together, and the first layer that
// does: the least activation memory that any schedule of whole layers needs.
// A network without such layers has 0 at layer 0.
func LargestLayer(g *arch.Graph) (elements int64, layer int) {
	for i := range g.Layers {
		l := &g.Layers[i]
		if l.Op != arch.OpConv && l.Op != arch.OpLinear {
			continue
		}
		if n := l.In.Elements() + l.Out.Elements(); n > elements {
			elements, layer = n, i
		}
	}
	return elements, layer
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return append(s[:cap(s)], make([]T, n-cap(s))...)
	}
	return s[:n]
}
