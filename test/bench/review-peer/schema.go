// The CRD's schema, compiled once: types, required, enum, bounds and patterns, all errors at once.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"
)

type rawSchema struct {
	Type                 string
	Description          string
	Required             []string
	Enum                 []any
	Pattern              string
	MinLength, MaxLength *int
	Minimum, Maximum     *float64
	MinItems, MaxItems   *int
	MaxProperties        *int
	Properties           map[string]*rawSchema
	AdditionalProperties json.RawMessage
	Items                *rawSchema
	AnyOf                []*rawSchema
}

type schema struct {
	rawSchema
	pattern    *regexp.Regexp
	properties map[string]*schema
	free       *schema
	items      *schema
	types      []string
}

func compile(raw *rawSchema) *schema {
	s := &schema{rawSchema: *raw, properties: map[string]*schema{}}
	if raw.Pattern != "" {
		s.pattern = regexp.MustCompile(raw.Pattern)
	}
	for name, property := range raw.Properties {
		s.properties[name] = compile(property)
	}
	var free rawSchema
	if len(raw.AdditionalProperties) > 0 && json.Unmarshal(raw.AdditionalProperties, &free) == nil {
		s.free = compile(&free)
	}
	if raw.Items != nil {
		s.items = compile(raw.Items)
	}
	if raw.Type != "" {
		s.types = []string{raw.Type}
	}
	for _, one := range raw.AnyOf {
		s.types = append(s.types, one.Type)
	}
	return s
}

func (s *schema) validate(value any, path string, found []finding) []finding {
	fail := func(message string) { found = append(found, finding{path, value, message, s.Description, false}) }
	if len(s.types) > 0 && !s.hasType(value) {
		fail(fmt.Sprintf("must be %v", s.types))
		return found
	}
	if len(s.Enum) > 0 && !contains(s.Enum, value) {
		fail("is not supported")
	}
	switch v := value.(type) {
	case string:
		length := utf8.RuneCountInString(v)
		if s.MinLength != nil && length < *s.MinLength || s.MaxLength != nil && length > *s.MaxLength {
			fail("has a wrong length")
		}
		if s.pattern != nil && len(v) <= 1024 && !s.pattern.MatchString(v) {
			fail("is malformed")
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			fail("is out of range")
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
			fail("has a wrong number of items")
		}
		if s.items != nil && len(v) <= 1000 {
			for index, item := range v {
				found = s.items.validate(item, path+"["+strconv.Itoa(index)+"]", found)
			}
		}
	case object:
		found = s.fields(v, path, found)
	}
	return found
}

func (s *schema) fields(value object, path string, found []finding) []finding {
	place := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	for _, name := range s.Required {
		if _, ok := value[name]; !ok {
			found = append(found, finding{place(name), nil, "is required", "add it", false})
		}
	}
	for name, item := range value {
		if property := s.properties[name]; property != nil {
			if path != "" || name != "status" {
				found = property.validate(item, place(name), found)
			}
		} else if s.free != nil {
			found = s.free.validate(item, place(name), found)
		}
	}
	return found
}

func (s *schema) hasType(value any) bool {
	for _, wanted := range s.types {
		ok := false
		switch v := value.(type) {
		case string:
			ok = wanted == "string"
		case bool:
			ok = wanted == "boolean"
		case float64:
			ok = wanted == "number" || wanted == "integer" && v == math.Trunc(v)
		case []any:
			ok = wanted == "array"
		case object:
			ok = wanted == "object"
		}
		if ok {
			return true
		}
	}
	return false
}

func contains(list []any, value any) bool {
	for _, one := range list {
		if one == value {
			return true
		}
	}
	return false
}
