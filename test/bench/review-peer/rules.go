// What the schema cannot say: the rules of crds/rules, by hand.
package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

var (
	clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	dnsName     = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	address     = regexp.MustCompile(`^[0-9.]+$|:`)
	inside      = regexp.MustCompile(`(?i)^(localhost|.+\.localhost|kubernetes|kubernetes\.default(\.svc(\.cluster\.local)?)?|metadata|metadata\.google\.internal)\.?$`)
	latest      = regexp.MustCompile(`:latest$|^[^:@]*$`)
	qualified   = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelValue  = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$`)
	token       = regexp.MustCompile(`^[\x20-\x7e]*$`)
	parser      = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
)

func rules(next, old object) []finding {
	spec, ok := next["spec"].(object)
	if !ok {
		return nil
	}
	var found []finding
	fail := func(field string, value any, message, fix string) {
		found = append(found, finding{field, value, message, fix, false})
	}
	warn := func(field string, value any, message, fix string) {
		found = append(found, finding{field, value, message, fix, true})
	}
	metadataRules(next, fail)
	scheduleRules(spec, fail)
	storageRules(spec, old, fail, warn)
	databaseRules(spec, old, fail, warn)
	if at(spec, "retention", "keepLast") == nil && at(spec, "retention", "keepWithin") == nil {
		fail("spec.retention", nil, "keeps nothing", "set keepLast, keepWithin or both, for example keepLast: 3")
	}
	jobRules(spec, fail)
	return found
}

type say func(field string, value any, message, fix string)

func metadataRules(next object, fail say) {
	name := text(at(next, "metadata", "name"))
	if len(name) > 48 || name != "" && (!dnsName.MatchString(name) || strings.Contains(name, "..")) {
		fail("metadata.name", name, "is not a DNS name of at most 48 characters", "choose another")
	}
	annotations, _ := at(next, "metadata", "annotations").(object)
	for key, value := range annotations {
		if key == "dbbackup.io/trigger" {
			if v := text(value); len(v) > 253 || !token.MatchString(v) {
				fail("metadata.annotations["+key+"]", value, "is not a plain text", "use a short token")
			}
		} else if strings.HasPrefix(key, "dbbackup.io/") && key != "dbbackup.io/triggered-by" {
			fail("metadata.annotations", key, "is reserved for dbbackup", "use another prefix")
		}
	}
	labels, _ := at(next, "metadata", "labels").(object)
	for key := range labels {
		if strings.HasPrefix(key, "dbbackup.io/") {
			fail("metadata.labels", key, "is reserved for dbbackup", "use another prefix")
		}
	}
}

func scheduleRules(spec object, fail say) {
	zone := text(spec["timeZone"])
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		fail("spec.timeZone", zone, "is not a known IANA time zone", "write a name such as Europe/Berlin or Etc/UTC")
	}
	written, ok := spec["schedule"].(string)
	if !ok {
		return
	}
	// A stable value for H is any one here: what counts is the work of reading it.
	resolved := strings.ReplaceAll(written, "H", "7")
	schedule, err := parser.Parse(resolved)
	if strings.HasPrefix(written, "@") {
		schedule, err = cron.ParseStandard(written)
	}
	if err != nil {
		fail("spec.schedule", written, err.Error(), "write minute, hour, day of month, month and day of week")
	} else if schedule.Next(time.Now()).IsZero() {
		fail("spec.schedule", written, "has no window", "write a day that exists")
	}
}

func exactlyOne(field string, value any, fail say, members ...string) {
	fields, ok := value.(object)
	if !ok {
		return
	}
	count := 0
	for _, member := range members {
		if _, ok := fields[member]; ok {
			count++
		}
	}
	if count != 1 {
		fail(field, nil, "needs exactly one of "+strings.Join(members, ", "), "keep one of them")
	}
}

func storageRules(spec, old object, fail, warn say) {
	exactlyOne("spec.storage", spec["storage"], fail, "s3", "pvc")
	exactlyOne("spec.storage.s3.auth", at(spec, "storage", "s3", "auth"), fail, "secretRef", "default")
	exactlyOne("spec.encryption", spec["encryption"], fail, "age", "none")
	if _, err := netip.ParseAddr(text(at(spec, "storage", "s3", "bucket"))); err == nil {
		fail("spec.storage.s3.bucket", nil, "looks like an IP address", "write the name of the bucket")
	}
	if endpoint, ok := at(spec, "storage", "s3", "endpoint").(string); ok {
		field := "spec.storage.s3.endpoint"
		parsed, err := url.Parse(endpoint)
		insecure, _ := at(spec, "storage", "s3", "insecure").(bool)
		switch {
		case err != nil:
			fail(field, endpoint, "is not an address", "write https://host or https://host:port")
		case refusedHost(parsed.Hostname()):
			fail(field, endpoint, "its host cannot be meant", "write the store's own address")
		case parsed.Scheme != "https" && !insecure:
			fail(field, endpoint, "must start with https://", "use https, or set insecure: true to allow http")
		case parsed.Scheme != "https":
			warn(field, endpoint, "is not encrypted on the network", "use https where the store can")
		}
	}
	if at(spec, "encryption", "none") != nil {
		warn("spec.encryption.none", nil, "snapshots are stored unencrypted", "set encryption.age.recipients")
	}
	recipients, _ := at(spec, "encryption", "age", "recipients").([]any)
	for _, recipient := range recipients {
		if !isAgeRecipient(text(recipient)) {
			fail("spec.encryption.age.recipients", recipient, "is not an age public key", "copy the line that age-keygen prints")
		}
	}
	before, _ := at(old, "spec", "encryption", "age", "recipients").([]any)
	for _, recipient := range before {
		if !contains(recipients, recipient) {
			warn("spec.encryption", nil, "no longer encrypts to a key", "keep its identity")
		}
	}
	level, ok := at(spec, "compression", "level").(float64)
	algorithm := text(at(spec, "compression", "algorithm"))
	if ok && (algorithm == "none" || algorithm == "gzip" && level > 9) {
		fail("spec.compression.level", level, "does not fit the algorithm", "remove it")
	}
}

func refusedHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast()
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return true
		}
	}
	return len(host) > 253 || inside.MatchString(host)
}

func databaseRules(spec, old object, fail, warn say) {
	if host := text(at(spec, "database", "host")); host != "" && refusedHost(host) {
		fail("spec.database.host", host, "cannot be meant", "write the server's DNS name or address")
	}
	if name := text(at(spec, "database", "name")); len(name) > 63 || strings.Contains(name, "://") {
		fail("spec.database.name", name, "is not a plain name of at most 63 bytes", "write the plain name")
	}
	image := text(at(spec, "database", "image"))
	if latest.MatchString(image[strings.LastIndex(image, "/")+1:]) {
		warn("spec.database.image", image, "its version may change under the dump", "name a version or a digest")
	}
	before := text(at(old, "spec", "database", "cluster"))
	after := text(at(spec, "database", "cluster"))
	if before != "" && after != "" && before != after {
		fail("spec.database.cluster", after, "is immutable, it was "+before, "create another DatabaseBackup instead")
	}
	arguments, _ := at(spec, "database", "extraArgs").([]any)
	for _, argument := range arguments {
		option, _, given := strings.Cut(text(argument), "=")
		if takesValue, known := allowed[option]; !known || takesValue != given {
			fail("spec.database.extraArgs", argument, "is not in the allow-list", "use one of it")
		}
	}
}

func jobRules(spec object, fail say) {
	for _, kind := range []string{"requests", "limits"} {
		amounts, _ := at(spec, "job", "resources", kind).(object)
		for name, value := range amounts {
			if amount, ok := quantity(value); !ok || amount <= 0 || name == "memory" && amount < 64<<20 {
				fail("spec.job.resources."+kind+"."+name, value, "is not an amount that will do", "raise it")
			}
		}
	}
	for _, kind := range []string{"podLabels", "podAnnotations", "nodeSelector"} {
		pairs, _ := at(spec, "job", kind).(object)
		for key, value := range pairs {
			reserved := kind != "nodeSelector" && (strings.HasPrefix(key, "dbbackup.io/") || strings.HasPrefix(key, "kubernetes.io/"))
			if !qualified.MatchString(key) || reserved || kind != "podAnnotations" && !labelValue.MatchString(text(value)) {
				fail("spec.job."+kind, key, "is not a pair that Kubernetes takes", "write another")
			}
		}
	}
}
