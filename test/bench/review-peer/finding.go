// One thing that is wrong with an object, and how to find a value in it.
package main

import "encoding/json"

type finding struct {
	field   string
	value   any
	message string
	fix     string
	warning bool
}

func (f finding) text() string {
	if f.value == nil {
		return f.message + "; " + f.fix
	}
	shown, _ := json.Marshal(f.value)
	if len(shown) > 80 {
		shown = append(shown[:76], `..."`...)
	}
	return string(shown) + ": " + f.message + "; " + f.fix
}

func (f finding) sentence() string { return f.field + ": " + f.text() }

func at(value any, path ...string) any {
	for _, name := range path {
		fields, ok := value.(object)
		if !ok {
			return nil
		}
		value = fields[name]
	}
	return value
}

func text(value any) string {
	s, _ := value.(string)
	return s
}
