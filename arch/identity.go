package arch

// identity is the operation "nothing" of search spaces in which a layer may be
// skipped, such as NAS-Bench-Macro (Su et al. 2021) and those of ProxylessNAS
// and FBNet. Where the shape stays it adds no layers; where it changes, it is a
// strided 1x1 convolution with normalisation and without activation: the
// shortcut of a residual block alone.
type identity struct{}

func (identity) Name() string { return "identity" }

func (identity) Params() []Param { return nil }

func (identity) Lower(g *Graph, x Tensor, u *Unit) Tensor { return shortcut(g, x, u) }
