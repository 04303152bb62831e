//! [`block_on`]: a runtime, for programs that have none. Nothing else in this crate makes one.

/// Runs `future` to its end on this thread, and with it all that calls need: tasks, timers, sockets.
///
/// With it, a program or a test needs no dependency but this crate. A server under load depends on tokio, and has as many threads as
/// it wants.
///
/// ```
/// use blixard_rpc::{Channel, Memory, Result, Router, iroh_service};
///
/// #[iroh_service(package = "demo.v1")]
/// trait Greeter {
///     async fn greet(&self, name: String) -> Result<String>;
/// }
///
/// struct MyGreeter;
///
/// impl Greeter for MyGreeter {
///     async fn greet(&self, name: String) -> Result<String> {
///         Ok(format!("Hello, {name}!"))
///     }
/// }
///
/// let router = Router::new().add(GreeterServer::new(MyGreeter));
/// let client = GreeterClient::new(Channel::new(Memory::new(router)));
/// let greeting = blixard_rpc::block_on(client.greet("Ada".into()));
/// assert_eq!(greeting.unwrap(), "Hello, Ada!");
/// ```
///
/// # Panics
/// Inside of a tokio runtime, which must not be blocked; or if the system refuses what a runtime needs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has what a runtime needs: file descriptors, above all")
        .block_on(future)
}
