package policy

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
)

// EncodeCall returns the data of a call, for a question about it: of a method by its name in an ABI, with arguments of elementary types as people write
// them, or of a selector, such as 0xa9059cbb, without arguments. The error is coco.ErrInvalid.
func EncodeCall(abiJSON []byte, method string, args []string) ([]byte, error) {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: method %.64q: %s", coco.ErrInvalid, method, fmt.Sprintf(format, a...))
	}
	if digits, is := strings.CutPrefix(method, "0x"); is {
		selector, err := hex.DecodeString(digits)
		if err != nil || len(selector) != 4 || len(args) > 0 {
			return nil, bad("expected four bytes in hexadecimal, and no arguments")
		}
		return selector, nil
	}
	t, err := Text{ABI: json.RawMessage(abiJSON)}.Compact()
	if err != nil {
		return nil, err
	}
	names, err := parseABI(t.ABI)
	if err != nil {
		return nil, err
	}
	var found *signature
	var id [4]byte
	for selector, s := range names.methods {
		if s.name == method && len(s.inputs) == len(args) {
			if found != nil {
				return nil, bad("the ABI has several with %d arguments: give the selector", len(args))
			}
			found, id = s, selector
		}
	}
	if found == nil {
		return nil, bad("the ABI has none with %d arguments", len(args))
	}
	var types gethabi.Arguments
	var values []any
	for i, in := range found.inputs {
		v, err := parseValue(&in, args[i])
		if err != nil {
			return nil, bad("argument %d, %.80q: %v", i+1, args[i], err)
		}
		types, values = append(types, gethabi.Argument{Type: in.typ}), append(values, v)
	}
	data, err := types.Pack(values...)
	if err != nil {
		return nil, bad("%v", err)
	}
	return append(id[:], data...), nil
}

func parseValue(in *input, text string) (any, error) {
	if !in.plain {
		return nil, fmt.Errorf("expected an elementary type: give the call's data")
	}
	switch in.typ.T {
	case gethabi.AddressTy:
		if !common.IsHexAddress(text) {
			return nil, fmt.Errorf("expected an address")
		}
		return common.HexToAddress(text), nil
	case gethabi.BoolTy:
		return strconv.ParseBool(text)
	case gethabi.StringTy:
		return text, nil
	case gethabi.BytesTy, gethabi.FixedBytesTy:
		b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil || in.typ.T == gethabi.BytesTy {
			return b, err
		}
		if len(b) != in.typ.Size {
			return nil, fmt.Errorf("expected %d bytes, found %d", in.typ.Size, len(b))
		}
		v := reflect.New(in.typ.GetType()).Elem()
		reflect.Copy(v, reflect.ValueOf(b))
		return v.Interface(), nil
	case gethabi.IntTy, gethabi.UintTy:
		return parseInteger(&in.typ, text)
	}
	return nil, fmt.Errorf("expected an elementary type: give the call's data")
}

func parseInteger(t *gethabi.Type, text string) (any, error) {
	n, ok := new(big.Int).SetString(text, 0)
	bits := t.Size
	if t.T == gethabi.IntTy {
		bits--
	}
	if !ok || n.Sign() < 0 && t.T == gethabi.UintTy || n.BitLen() > bits {
		return nil, fmt.Errorf("expected a number of %s", t.String())
	}
	v := reflect.New(t.GetType()).Elem()
	switch v.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(n.Int64())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(n.Uint64())
	default:
		return n, nil
	}
	return v.Interface(), nil
}
