"""Training that gives the same weights and the same files every time."""


def start_training(seed: int) -> None:
    """Puts Keras and TensorFlow into a state that depends on the seed alone.

    Args:
        seed: Decides initial weights and dropout.
    """
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    # A GPU would multiply in TF32, and what it scores would not be what the exported files score.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    # Names of layers count up over all models of a process, and exported files hold them.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
