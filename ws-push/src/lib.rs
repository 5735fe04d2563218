//! ws-push
