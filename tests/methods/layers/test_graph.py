import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.sparse.csgraph import laplacian

from methods.layers.graph import ChebyshevConv, GraphBlocks, graph_matrix
from tasks.hands.skeleton import BONES

EDGES = ((0, 1), (1, 2), (2, 0), (2, 3), (4, 3))


def test_the_laplacian_is_scipys_with_its_eigenvalues_about_zero() -> None:
    adjacency = np.zeros((5, 5))
    for a, b in EDGES:
        adjacency[a, b] = adjacency[b, a] = 1
    ours = graph_matrix(5, EDGES).numpy()
    np.testing.assert_allclose(ours, laplacian(adjacency, normed=True) - np.eye(5), atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(ours)).max() <= 1 + 1e-6


def test_the_released_adjacency_carries_features_from_child_to_parent_alone() -> None:
    matrix = graph_matrix(21, BONES, "raw_directed")
    assert matrix.sum() == 20
    features = torch.zeros(21, 1)
    features[1] = 1.0  # the thumb's first joint; its parent is the wrist, its child the second
    reached = (matrix @ features)[:, 0]
    assert reached.nonzero().flatten().tolist() == [0]


def test_a_convolution_is_a_polynomial_of_the_graph() -> None:
    torch.manual_seed(0)
    matrix = graph_matrix(5, EDGES)
    conv = ChebyshevConv(3, 4, matrix, order=4)
    x = torch.randn(2, 5, 3)
    values, vectors = np.linalg.eigh(matrix.double().numpy())
    weight = conv.linear.weight.detach().double().numpy().reshape(4, 4, 3)
    expected = conv.linear.bias.detach().double().numpy() + np.zeros((2, 5, 4))
    for k in range(4):
        filtered = vectors @ np.diag(chebyshev.chebval(values, np.eye(4)[k])) @ vectors.T
        expected += np.einsum("nm,bmi,oi->bno", filtered, x.double().numpy(), weight[:, k])
    np.testing.assert_allclose(conv(x).detach().numpy(), expected, atol=1e-5)


def test_blocks_reach_two_edges_further_each() -> None:
    torch.manual_seed(0)
    path = graph_matrix(12, [(i, i + 1) for i in range(11)])
    net = GraphBlocks(4, 6, path, blocks=2)
    x = torch.randn(1, 12, 4, requires_grad=True)
    out = net(x)
    assert out.shape == (1, 12, 6)
    out[0, 0, 0].backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert reached == [0, 1, 2, 3, 4]


def test_the_graph_leaves_nothing_in_a_checkpoint() -> None:
    assert not any(
        "matrix" in name for name in GraphBlocks(4, 6, graph_matrix(5, EDGES), blocks=1).state_dict()
    )
