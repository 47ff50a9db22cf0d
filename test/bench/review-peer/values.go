// Values with a grammar of their own: age keys, quantities, arguments of pg_dump.
package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

var (
	generator = [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	recipient = regexp.MustCompile(`^age1[02-9ac-hj-np-z]{58}$`)
	amount    = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,3})?)(m|k|Ki|M|Mi|G|Gi)?$`)
	units     = map[string]float64{"m": 1e-3, "": 1, "k": 1e3, "Ki": 1 << 10, "M": 1e6, "Mi": 1 << 20, "G": 1e9, "Gi": 1 << 30}
	// Whether the argument takes a value.
	allowed = map[string]bool{
		"--table": true, "--exclude-table": true, "--exclude-table-data": true, "--schema": true, "--exclude-schema": true,
		"--extension": true, "--include-foreign-data": true, "--lock-wait-timeout": true, "--extra-float-digits": true,
		"--encoding": true,
		"--blobs":    false, "--no-blobs": false, "--no-comments": false, "--no-publications": false,
		"--no-subscriptions": false, "--no-security-labels": false, "--no-owner": false, "--no-privileges": false,
		"--no-tablespaces": false, "--no-unlogged-table-data": false, "--enable-row-security": false,
		"--strict-names": false, "--serializable-deferrable": false, "--load-via-partition-root": false,
		"--quote-all-identifiers": false,
	}
)

// bech32 (BIP 173) with the prefix age.
func isAgeRecipient(text string) bool {
	if !recipient.MatchString(text) {
		return false
	}
	sum := uint32(1)
	add := func(value uint32) {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ value
		for bit, term := range generator {
			if top>>bit&1 == 1 {
				sum ^= term
			}
		}
	}
	for _, letter := range "age" {
		add(uint32(letter) >> 5)
	}
	add(0)
	for _, letter := range "age" {
		add(uint32(letter) & 31)
	}
	for _, letter := range text[4:] {
		add(uint32(strings.IndexRune(alphabet, letter)))
	}
	return sum == 1
}

func quantity(value any) (float64, bool) {
	match := amount.FindStringSubmatch(fmt.Sprint(value))
	if match == nil {
		return 0, false
	}
	number, err := strconv.ParseFloat(match[1], 64)
	return number * units[match[2]], err == nil
}
