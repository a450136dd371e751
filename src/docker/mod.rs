//! The Docker API, GET only: discovery, events, log streams, mounts. The only module that knows bollard.
