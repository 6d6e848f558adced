package export

import (
	"encoding/binary"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields that networks need of the messages of onnx.proto.
const (
	modelIRVersion = 1
	modelProducer  = 2
	modelDoc       = 6
	modelGraph     = 7
	modelOpset     = 8
	modelMetadata  = 14

	opsetVersion = 2

	entryKey   = 1
	entryValue = 2

	graphNode        = 1
	graphName        = 2
	graphInitializer = 5
	graphDoc         = 10
	graphInput       = 11
	graphOutput      = 12
	graphValueInfo   = 13

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOp        = 4
	nodeAttribute = 5

	attributeName   = 1
	attributeFloat  = 2
	attributeInt    = 3
	attributeTensor = 5
	attributeInts   = 8
	attributeType   = 20

	tensorDims = 1
	tensorType = 2
	tensorName = 8
	tensorRaw  = 9

	infoName = 1
	infoType = 2

	typeTensor      = 1
	tensorTypeElem  = 1
	tensorTypeShape = 2
	shapeDim        = 1
	dimValue        = 1
	dimParam        = 2
)

// Values of the enums AttributeProto.AttributeType and TensorProto.DataType.
const (
	isFloat  = 1
	isInt    = 2
	isTensor = 4
	isInts   = 7

	float32Data = 1
	int64Data   = 7
)

// A message is the encoding of a protobuf message. Its methods append a field.
type message []byte

func (m *message) int(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

// text appends a string, which in protobuf is UTF-8.
func (m *message) text(field protowire.Number, s string) {
	m.bytes(field, []byte(strings.ToValidUTF8(s, "\uFFFD")))
}

// begin appends the head of a field whose n bytes follow.
func (m *message) begin(field protowire.Number, n int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.BytesType), uint64(n))
}

// An attribute is an AttributeProto.
type attribute = message

func newAttribute(name string, kind int64) attribute {
	var a attribute
	a.text(attributeName, name)
	a.int(attributeType, kind)
	return a
}

func floatAttribute(name string, v float32) attribute {
	a := newAttribute(name, isFloat)
	a.float(attributeFloat, v)
	return a
}

func intAttribute(name string, v int64) attribute {
	a := newAttribute(name, isInt)
	a.int(attributeInt, v)
	return a
}

func intsAttribute(name string, vs ...int64) attribute {
	a := newAttribute(name, isInts)
	for _, v := range vs {
		a.int(attributeInts, v)
	}
	return a
}

func tensorAttribute(name string, t message) attribute {
	a := newAttribute(name, isTensor)
	a.bytes(attributeTensor, t)
	return a
}

// tensorHead returns a TensorProto without its values.
func tensorHead(name string, kind int64, dims []int64) message {
	var t message
	for _, d := range dims {
		t.int(tensorDims, d)
	}
	t.int(tensorType, kind)
	if name != "" {
		t.text(tensorName, name)
	}
	return t
}

func int64Tensor(vs []int64) message {
	t := tensorHead("", int64Data, []int64{int64(len(vs))})
	var raw []byte
	for _, v := range vs {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	t.bytes(tensorRaw, raw)
	return t
}

func float32Tensor(dims []int64, vs []float32) message {
	t := tensorHead("", float32Data, dims)
	var raw []byte
	for _, v := range vs {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	t.bytes(tensorRaw, raw)
	return t
}

// valueInfo returns a ValueInfoProto: a tensor of floats, for a batch of any
// size.
func valueInfo(name string, dims []int64) message {
	var batch, shape, tensorType, kind, info message
	batch.text(dimParam, "batch")
	shape.bytes(shapeDim, batch)
	for _, d := range dims {
		var dim message
		dim.int(dimValue, d)
		shape.bytes(shapeDim, dim)
	}
	tensorType.int(tensorTypeElem, float32Data)
	tensorType.bytes(tensorTypeShape, shape)
	kind.bytes(typeTensor, tensorType)
	info.text(infoName, name)
	info.bytes(infoType, kind)
	return info
}
