module dbbackup.io/test/fuzz/re2

go 1.23
