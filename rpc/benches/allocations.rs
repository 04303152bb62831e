//! How often a call in memory allocates. Apart from the other measurements, since counting costs time itself.

use blixard_rpc::{Channel, Memory, Result, Router, block_on, iroh_service};
use bytes::Bytes;

const CALLS: u32 = 1000;

#[iroh_service(package = "bench.v1")]
trait Bench {
    /// Answers what was asked.
    async fn echo(&self, payload: Bytes) -> Result<Bytes>;
}

struct Answers;

impl Bench for Answers {
    async fn echo(&self, payload: Bytes) -> Result<Bytes> {
        Ok(payload)
    }
}

fn main() -> Result<()> {
    let router = Router::new().add(BenchServer::new(Answers));
    let client = BenchClient::new(Channel::new(Memory::new(router)));
    let calls = || -> Result<()> {
        block_on(async {
            for _ in 0..CALLS {
                client.echo(Bytes::from_static(&[7; 64])).await?;
            }
            Ok(())
        })
    };
    // The first ones fill the caches.
    calls()?;
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = calls());
    result?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 allocations")]
    let allocations = counted.count_total as f64 / f64::from(CALLS);
    println!("64-byte echo in memory: {allocations:.1} allocations a call");
    Ok(())
}
