# What one does with guard's sources. Each target is a script in scripts/, whose head says more.
.PHONY: help up down demo test soak chaos fuzz audit bench bench-firewall images readme release clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

up: ## build and start guard with two login services to protect (docker-compose.example.yml)
	@scripts/up.sh

demo: ## attack one of them and watch the ban happen (after `make up`; as root)
	@scripts/demo.sh $(ARGS)

down: ## stop and remove what `make up` started
	@scripts/down.sh

test: ## format, lints and all tests: plain ones, root's, and those with Docker engines of their own (ARGS: for cargo test)
	@scripts/test.sh $(ARGS)

soak: ## whether every line is judged exactly once, whatever happens meanwhile (SECONDS, 60; as root)
	@scripts/soak.sh $(or $(SECONDS),60)

chaos: ## flush, delete and reorder guard's rules at random while bans come and go; measure the holes (SECONDS for each backend, 60; as root)
	@scripts/chaos.sh $(or $(SECONDS),60)

fuzz: ## hostile lines, regexes, filter files and labels, made up by a fuzzer (SECONDS for each target, 60)
	@scripts/fuzz.sh $(or $(SECONDS),60)

audit: ## licences, bans and sources of the dependencies, advisories, unused dependencies
	@scripts/audit.sh

bench: ## benchmarks
	cargo bench --locked

bench-firewall: ## what bans cost in the kernel, beside fail2ban's, ipset's and nft's own commands (as root)
	@scripts/bench-firewall.sh

images: ## the base images of the Dockerfile, from a registry or from Debian packages
	@scripts/base-images.sh

readme: ## write the table of labels into the README, what guardctl prints into docs/guardctl.md, the metrics into docs/metrics.md
	@scripts/readme.sh

release: ## build and check a release into dist/: binaries, image, checksums, SBOM (TAG=v1.2.3: refuse unless all agree)
	@scripts/release.sh $(if $(TAG),--tag $(TAG))

clean: ## remove what was built: target/, the example's images, the cache
	@scripts/clean.sh
