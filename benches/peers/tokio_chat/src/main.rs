//! What a tokio user writes for a chat of lines, done well: one thread, a task for reading and a
//! bounded queue with a task for writing for each peer; a chunk of whole lines is one shared buffer,
//! and a writer takes all that waits in its queue into one write. After the chat example of tokio's
//! own repository, which writes line by line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Chunks that wait for one peer; past it the peer is dropped.
const QUEUE: usize = 1_024;

type Chunk = Arc<[u8]>;
type Peers = Rc<RefCell<BTreeMap<u64, mpsc::Sender<Chunk>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let word = std::env::args().nth(1).expect("PORT");
    if word == "version" {
        println!("tokio {}", env!("TOKIO_VERSION"));
        return Ok(());
    }
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(format!("127.0.0.1:{word}").parse().expect("a port"))?;
    let listener: TcpListener = socket.listen(4_096)?;
    let peers = Peers::default();
    tokio::task::LocalSet::new()
        .run_until(async move {
            for id in 0.. {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::task::spawn_local(serve(id, stream, Rc::clone(&peers)));
            }
            Ok(())
        })
        .await
}

async fn serve(id: u64, stream: TcpStream, peers: Peers) {
    let (mut reader, mut writer) = stream.into_split();
    let (queue, mut chunks) = mpsc::channel::<Chunk>(QUEUE);
    peers.borrow_mut().insert(id, queue);
    tokio::task::spawn_local(async move {
        let mut pending = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            let written = match chunks.try_recv() {
                Err(_) => writer.write_all(&chunk).await,
                Ok(more) => {
                    pending.clear();
                    pending.extend_from_slice(&chunk);
                    pending.extend_from_slice(&more);
                    while let Ok(more) = chunks.try_recv() {
                        pending.extend_from_slice(&more);
                    }
                    writer.write_all(&pending).await
                }
            };
            if written.is_err() {
                break;
            }
        }
    });
    // Grows to 64 KiB while its peer talks; a silent peer has none.
    let mut buffer = Vec::new();
    loop {
        if reader.readable().await.is_err() {
            break;
        }
        buffer.reserve(64 << 10);
        match reader.read_buf(&mut buffer).await {
            Ok(n) if n > 0 => {}
            _ => break,
        }
        let whole = buffer.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole > 0 {
            let chunk: Chunk = buffer[..whole].into();
            // Who does not keep up goes: its sender is dropped, and with it its writer.
            peers.borrow_mut().retain(|&peer, queue| {
                peer == id || queue.try_send(Arc::clone(&chunk)).is_ok()
            });
        }
        buffer.drain(..whole);
        if buffer.is_empty() {
            buffer = Vec::new();
        }
    }
    peers.borrow_mut().remove(&id);
}
