//! What instances share: limits and revocations, in Redis where there is one. The only room that knows redis.
