//! Trains: neighbouring reads of one sender become one, as if the kernel had coalesced them
//! (UDP_GRO), so that their answers leave in one send (UDP_SEGMENT). A client that has several
//! datagrams on their way sends them one by one, and they come in one behind the other. Pure. What
//! must not be here: who is answered.

use crate::os::{Batch, BatchHead, TRAIN_BYTES_MAX, TRAIN_DATAGRAMS_MAX};

/// What an Ethernet frame carries (RFC 894), headers of IP and UDP included. The way out cannot cut a
/// train of datagrams that do not fit, and then each is sent again by itself.
const FRAME_BYTES: usize = 1_500;

/// Joins what can be, where the socket can send it so; how many heads of `batch` are left of the first `reads`. Nothing changes its
/// place among the others. The bytes are moved together: 1,400 of them are copied in some 30 ns, and
/// a send costs 2,000.
pub(super) fn join(batch: &mut Batch, reads: usize) -> usize {
    if !batch.sends_trains {
        return reads;
    }
    let mut last = 0;
    for next in 1..reads {
        let (train, head) = (&batch.heads[last], &batch.heads[next]);
        if goes_on(train, head) {
            batch.bytes.copy_within(head.at..head.at + head.len, train.at + train.len);
            batch.heads[last].len += head.len;
        } else {
            last += 1;
            if last < next {
                batch.heads[last] = *head;
            }
        }
    }
    reads.min(last + 1)
}

/// Whether `head` is more of the same. A datagram that is shorter than the others ends its train.
fn goes_on(train: &BatchHead, head: &BatchHead) -> bool {
    let stride = train.stride;
    let len = train.len + head.len;
    let headers = if head.from.is_ipv4() { 20 + 8 } else { 40 + 8 };
    (1..=FRAME_BYTES - headers).contains(&stride)
        && (train.from, train.to, train.hit) == (head.from, head.to, head.hit)
        && train.len.is_multiple_of(stride)
        && (head.stride == stride || (1..stride).contains(&head.len) && head.len <= head.stride)
        && len <= TRAIN_BYTES_MAX.min(TRAIN_DATAGRAMS_MAX * stride)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Hit;
    use crate::os::DATAGRAM_BYTES;
    use std::net::SocketAddr;

    /// A batch of reads of these lengths and strides from these ports; the bytes count up.
    fn batch(reads: &[(u16, usize, usize)]) -> Batch {
        let mut batch = Batch::new();
        batch.sends_trains = true;
        let mut count = 0;
        for (slot, &(port, len, stride)) in reads.iter().enumerate() {
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            let at = slot * DATAGRAM_BYTES;
            batch.heads[slot] = BatchHead { from, to: None, hit: Hit::Own, at, len, stride };
            for byte in &mut batch.bytes[at..at + len] {
                *byte = count;
                count = count.wrapping_add(1);
            }
        }
        batch
    }

    /// What is left of them, as ports, lengths and strides; the bytes of all still count up.
    fn joined(reads: &[(u16, usize, usize)]) -> Vec<(u16, usize, usize)> {
        let mut batch = batch(reads);
        let left = join(&mut batch, reads.len());
        let heads = &batch.heads[..left];
        let bytes: Vec<u8> =
            heads.iter().flat_map(|h| &batch.bytes[h.at..h.at + h.len]).copied().collect();
        let counted: Vec<u8> = (0..bytes.len()).map(|n| n as u8).collect();
        assert_eq!(bytes, counted);
        heads.iter().map(|head| (head.from.port(), head.len, head.stride)).collect()
    }

    #[test]
    fn neighbours_of_one_sender_are_joined_in_their_order() {
        let reads = [(1, 10, 10), (1, 10, 10), (2, 10, 10), (1, 10, 10), (3, 10, 10), (3, 30, 10)];
        let trains = [(1, 20, 10), (2, 10, 10), (1, 10, 10), (3, 40, 10)];
        assert_eq!(joined(&reads), trains);
        assert_eq!(joined(&[(1, 10, 10)]), [(1, 10, 10)]);
        assert_eq!(joined(&[]), []);
    }

    #[test]
    fn a_shorter_one_ends_a_train_and_a_longer_or_an_empty_one_begins_another() {
        let reads = [(1, 10, 10), (1, 4, 4), (1, 4, 4), (1, 10, 10), (1, 0, 0), (1, 0, 0)];
        assert_eq!(joined(&reads), [(1, 14, 10), (1, 4, 4), (1, 10, 10), (1, 0, 0), (1, 0, 0)]);
        assert_eq!(joined(&[(1, 25, 10), (1, 10, 10)]), [(1, 25, 10), (1, 10, 10)]);
        let trains_of_two = [(1, 10, 10), (1, 8, 4)];
        assert_eq!(joined(&trains_of_two), trains_of_two, "pieces of 4 are none of 10");
    }

    #[test]
    fn a_train_is_no_longer_than_one_send_and_its_pieces_fit_a_frame() {
        assert_eq!(joined(&[(1, 630, 10), (1, 10, 10), (1, 10, 10)]), [(1, 640, 10), (1, 10, 10)]);
        let long = [(1, 64_768, 1_472), (1, 1_472, 1_472)];
        assert_eq!(joined(&long), long);
        let fragmented = [(1, 1_473, 1_473), (1, 1_473, 1_473)];
        assert_eq!(joined(&fragmented), fragmented);
    }

    #[test]
    fn what_hit_another_address_is_answered_from_there() {
        let mut batch = batch(&[(1, 10, 10), (1, 10, 10)]);
        batch.heads[1].to = Some(SocketAddr::from(([127, 0, 0, 2], 0)).ip());
        assert_eq!(join(&mut batch, 2), 2);
    }

    #[test]
    fn over_ipv6_a_frame_has_room_for_less() {
        for (len, left) in [(1_452, 1), (1_453, 2)] {
            let mut batch = batch(&[(1, len, len), (1, len, len)]);
            batch.heads.iter_mut().for_each(|head| head.from.set_ip([0; 16].into()));
            assert_eq!(join(&mut batch, 2), left, "{len} bytes");
        }
    }

    #[test]
    fn nothing_is_joined_where_the_socket_would_send_it_one_by_one() {
        let mut batch = batch(&[(1, 10, 10), (1, 10, 10)]);
        batch.sends_trains = false;
        assert_eq!(join(&mut batch, 2), 2);
    }
}
